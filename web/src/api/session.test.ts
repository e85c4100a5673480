import { beforeEach, expect, test, vi } from "vitest";
import { aSession } from "../testing/factories";
import { refused, serve } from "../testing/server";
import { SessionKeeper } from "./session";

const REFRESH = "POST /v1/token/refresh";

/** Tabs of one browser: they share the channel, the storage and, on secure pages, the lock. */
function aBrowser({ locks = true } = {}) {
  const listeners: ((event: MessageEvent) => void)[] = [];
  let last: Promise<unknown> = Promise.resolve();
  const open = () => {
    const own: ((event: MessageEvent) => void)[] = [];
    return new SessionKeeper({
      fetch: (input, init) => globalThis.fetch(input, init),
      lock: (work) => {
        if (!locks) return work();
        const turn = last.then(work, work);
        last = turn;
        return turn;
      },
      channel: {
        postMessage: (data: unknown) => {
          for (const listener of listeners) {
            if (!own.includes(listener)) listener({ data } as MessageEvent);
          }
        },
        addEventListener: (_: string, listener: unknown) => {
          own.push(listener as (event: MessageEvent) => void);
          listeners.push(listener as (event: MessageEvent) => void);
        },
      },
      storage: localStorage,
      visible: () => true,
    });
  };
  return { open };
}

function serveSessions() {
  return serve({
    "POST /v1/login": () => ({ body: { data: aSession() } }),
    "POST /v1/logout": () => ({ status: 204 }),
    [REFRESH]: (_, earlier) => ({
      body: { data: aSession({ access_token: `renewed-${earlier + 1}` }) },
    }),
  });
}

beforeEach(() => {
  vi.useFakeTimers();
});

test("a stranger's first visit asks the server nothing", async () => {
  const seen = serveSessions();
  const session = aBrowser().open();
  await session.restore();
  expect(session.state.get().kind).toBe("anonymous");
  expect(seen).toEqual([]);
});

test("a reload restores the session from the cookie, with the header that forms cannot send", async () => {
  const seen = serveSessions();
  const browser = aBrowser();
  await browser.open().signIn("/v1/login", "ada@example.com", "secret-secret");
  expect(JSON.parse(seen[0]?.body ?? "")).toMatchObject({ cookie: true });
  const reloaded = browser.open();
  await reloaded.restore();
  expect(reloaded.state.get()).toMatchObject({ kind: "signed-in", user: { role: "user" } });
  expect(seen[1]?.headers.get("X-Windlass-Client")).toBe("dashboard");
});

test("no token is ever stored", async () => {
  serveSessions();
  await aBrowser().open().signIn("/v1/login", "ada@example.com", "secret-secret");
  expect(JSON.stringify({ ...localStorage })).not.toContain("token-1");
});

test("parallel requests share one renewal, even where the browser has no locks", async () => {
  const seen = serveSessions();
  const session = aBrowser({ locks: false }).open();
  await session.signIn("/v1/login", "ada@example.com", "secret-secret");
  const renewed = await Promise.all([1, 2, 3].map(() => session.renew("token-1")));
  expect(renewed).toEqual(["renewed-1", "renewed-1", "renewed-1"]);
  expect(seen.filter(({ route }) => route === REFRESH)).toHaveLength(1);
});

test("two tabs share one renewal", async () => {
  const seen = serveSessions();
  const browser = aBrowser();
  const [here, there] = [browser.open(), browser.open()];
  await here.signIn("/v1/login", "ada@example.com", "secret-secret");
  const renewed = await Promise.all([here.renew("token-1"), there.renew("token-1")]);
  expect(renewed).toEqual(["renewed-1", "renewed-1"]);
  expect(seen.filter(({ route }) => route === REFRESH)).toHaveLength(1);
});

test("renews by itself when most of the token's life is over", async () => {
  const seen = serveSessions();
  const session = aBrowser().open();
  await session.signIn("/v1/login", "ada@example.com", "secret-secret");
  await vi.advanceTimersByTimeAsync(0.8 * 900_000);
  expect(seen.at(-1)?.route).toBe(REFRESH);
  expect(await session.token()).toBe("renewed-1");
});

test("a refused renewal signs out", async () => {
  serve({
    "POST /v1/login": () => ({ body: { data: aSession() } }),
    [REFRESH]: () => ({ status: 401, body: refused("UNAUTHENTICATED", "log in again") }),
  });
  const session = aBrowser().open();
  await session.signIn("/v1/login", "ada@example.com", "secret-secret");
  expect(await session.renew("token-1")).toBeNull();
  expect(session.state.get().kind).toBe("anonymous");
});

test("a renewal that meets a broken server keeps the session", async () => {
  serve({
    "POST /v1/login": () => ({ body: { data: aSession() } }),
    [REFRESH]: () => ({ status: 503, body: refused("UNAVAILABLE", "the database is away") }),
  });
  const session = aBrowser().open();
  await session.signIn("/v1/login", "ada@example.com", "secret-secret");
  await expect(session.renew("token-1")).rejects.toThrow("the database is away");
  expect(session.state.get().kind).toBe("signed-in");
});

test("a reload while the server is away says so instead of signing out", async () => {
  serveSessions();
  const browser = aBrowser();
  await browser.open().signIn("/v1/login", "ada@example.com", "secret-secret");
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("refused")));
  const reloaded = browser.open();
  await reloaded.restore();
  expect(reloaded.state.get().kind).toBe("unreachable");
});

test("logging out tells the other tabs", async () => {
  serveSessions();
  const browser = aBrowser();
  const [here, there] = [browser.open(), browser.open()];
  await here.signIn("/v1/login", "ada@example.com", "secret-secret");
  expect(there.state.get().kind).toBe("signed-in");
  await here.logout();
  expect(there.state.get().kind).toBe("anonymous");
  expect(await there.token()).toBeNull();
});
