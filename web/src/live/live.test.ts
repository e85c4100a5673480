import { beforeEach, expect, test, vi } from "vitest";
import type { JobSummary } from "../api/types";
import { aSummary } from "../testing/factories";
import { Live } from "./live";

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  readonly sent: string[] = [];
  closed = false;

  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.closed = true;
  }
  says(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  ends(code: number, reason = "") {
    this.onclose?.({ code, reason });
  }
}

let sockets: FakeSocket[];
let delivered: JobSummary[][];
const ticket = vi.fn(async () => "ticket-1");
const renew = vi.fn(async () => "fresh");
const reread = vi.fn();
const signOut = vi.fn();
const logged = vi.fn();

function aLive(): Live {
  return new Live({
    ticket,
    open: () => {
      sockets.push(new FakeSocket());
      return newest() as unknown as WebSocket;
    },
    renew,
    signOut,
    deliver: (jobs) => delivered.push(jobs),
    logged,
    reread,
    random: () => 1,
  });
}

function newest(): FakeSocket {
  const socket = sockets.at(-1);
  if (!socket) throw new Error("no socket was opened");
  return socket;
}

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function aReadyLive(): Promise<Live> {
  const live = aLive();
  live.start();
  await wait(0);
  newest().onopen?.();
  newest().says({ event: "ready" });
  return live;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  delivered = [];
  for (const mock of [ticket, renew, reread, signOut, logged]) mock.mockClear();
  ticket.mockImplementation(async () => "ticket-1");
});

test("subscribes with the ticket first and reads only when the server is ready", async () => {
  const live = aLive();
  live.start();
  await wait(0);
  newest().onopen?.();
  expect(newest().sent).toEqual(['{"ticket":"ticket-1"}']);
  expect(reread).not.toHaveBeenCalled();
  newest().says({ event: "ready" });
  expect(live.state.get().kind).toBe("live");
  expect(reread).toHaveBeenCalledTimes(1);
});

test("hands over the newest version of each job four times a second", async () => {
  await aReadyLive();
  newest().says({ event: "job.queued", job: aSummary({ id: "a", version: 1 }) });
  newest().says({ event: "job.running", job: aSummary({ id: "a", version: 2 }) });
  newest().says({ event: "job.queued", job: aSummary({ id: "b", version: 1 }) });
  await wait(249);
  expect(delivered).toEqual([]);
  await wait(1);
  expect(delivered.map((jobs) => jobs.map(({ id, version }) => [id, version]))).toEqual([
    [
      ["a", 2],
      ["b", 1],
    ],
  ]);
});

test("drops an event that is late or repeated", async () => {
  await aReadyLive();
  newest().says({ event: "job.succeeded", job: aSummary({ version: 3 }) });
  await wait(250);
  newest().says({ event: "job.running", job: aSummary({ version: 2 }) });
  newest().says({ event: "job.succeeded", job: aSummary({ version: 3 }) });
  await wait(1000);
  expect(delivered).toHaveLength(1);
});

test("comes back after a loss and reads again", async () => {
  const live = await aReadyLive();
  newest().ends(1006);
  expect(live.state.get()).toMatchObject({ kind: "waiting", polling: false });
  await wait(1000);
  expect(sockets).toHaveLength(2);
  await wait(2000);
  newest().says({ event: "ready" });
  expect(reread).toHaveBeenCalledTimes(2);
});

test("waits longer after each failure, and not at all when nudged", async () => {
  const live = await aReadyLive();
  newest().ends(1006);
  await wait(1000);
  newest().ends(1006);
  await wait(1999);
  expect(sockets).toHaveLength(2);
  live.nudge();
  await wait(0);
  expect(sockets).toHaveLength(3);
});

test("polls after three failures until a socket is ready again", async () => {
  ticket.mockRejectedValue(new Error("down"));
  const live = aLive();
  live.start();
  await wait(1000 + 2000);
  expect(live.state.get()).toMatchObject({ kind: "waiting", polling: true });
  await wait(10_000);
  expect(reread).toHaveBeenCalledTimes(1);
  ticket.mockImplementation(async () => "ticket-2");
  live.nudge();
  await wait(0);
  newest().says({ event: "ready" });
  reread.mockClear();
  await wait(25_000);
  expect(reread).not.toHaveBeenCalled();
});

test("counts 45 silent seconds as a loss, and a ping as a sign of life", async () => {
  const live = await aReadyLive();
  await wait(40_000);
  newest().says({ event: "ping" });
  await wait(44_999);
  expect(live.state.get().kind).toBe("live");
  await wait(1);
  expect(live.state.get().kind).toBe("waiting");
  expect(sockets[0]?.closed).toBe(true);
});

test("gives up on a socket that is not ready within five seconds", async () => {
  const live = aLive();
  live.start();
  await wait(5000);
  expect(live.state.get().kind).toBe("waiting");
});

test("answers a storm of resyncs with few reads", async () => {
  await aReadyLive();
  for (let second = 0; second < 60; second += 1) {
    newest().says({ event: "resync" });
    await wait(1000);
  }
  expect(reread.mock.calls.length).toBeGreaterThan(3);
  expect(reread.mock.calls.length).toBeLessThan(12);
});

test("a first 4401 renews the token at once", async () => {
  await aReadyLive();
  newest().ends(4401);
  await wait(0);
  expect(renew).toHaveBeenCalledTimes(1);
  expect(sockets).toHaveLength(2);
  expect(signOut).not.toHaveBeenCalled();
});

test("a second 4401 in a row signs out", async () => {
  const live = await aReadyLive();
  newest().ends(4401);
  await wait(0);
  newest().ends(4401);
  expect(signOut).toHaveBeenCalledTimes(1);
  expect(live.state.get().kind).toBe("off");
});

test.each([10_000, 900_000])("a token that ends every %d ms signs nobody out", async (life) => {
  await aReadyLive();
  for (let round = 0; round < 3; round += 1) {
    for (let lived = 0; lived < life; lived += 10_000) {
      await wait(10_000);
      newest().says({ event: "ping" });
    }
    newest().ends(4401);
    await wait(0);
    newest().says({ event: "ready" });
  }
  expect(renew).toHaveBeenCalledTimes(3);
  expect(signOut).not.toHaveBeenCalled();
});

test("a server that is ready and refuses at once does not get asked for ever", async () => {
  await aReadyLive();
  newest().ends(4401);
  await wait(0);
  newest().says({ event: "ready" });
  newest().ends(4401);
  expect(signOut).toHaveBeenCalledTimes(1);
});

test("another refusal stops and says why", async () => {
  const live = await aReadyLive();
  newest().ends(4403, "this origin is not allowed");
  expect(live.state.get()).toEqual({ kind: "stopped", reason: "this origin is not allowed" });
  await wait(60_000);
  expect(sockets).toHaveLength(1);
});

test("a tab hidden for five minutes lets go, and connects again when looked at", async () => {
  const live = await aReadyLive();
  live.setVisible(false);
  for (let pings = 0; pings < 16; pings += 1) {
    await wait(20_000);
    newest().says({ event: "ping" });
  }
  expect(live.state.get().kind).toBe("asleep");
  live.setVisible(true);
  await wait(0);
  expect(sockets).toHaveLength(2);
});

test("after a stop nothing is heard, delivered or tried", async () => {
  const live = await aReadyLive();
  const socket = newest();
  socket.says({ event: "job.queued", job: aSummary() });
  socket.says({ event: "resync" });
  live.stop();
  reread.mockClear();
  socket.says({ event: "job.running", job: aSummary({ version: 2 }) });
  socket.ends(1006);
  await wait(120_000);
  expect([delivered, reread.mock.calls]).toEqual([[], []]);
  expect(sockets).toHaveLength(1);
  expect(live.state.get().kind).toBe("off");
});

test("a stop while the ticket is on its way opens no socket", async () => {
  const live = aLive();
  live.start();
  live.stop();
  await wait(0);
  expect(sockets).toHaveLength(0);
});

test("tells which job has logged more", async () => {
  await aReadyLive();
  newest().says({ event: "job.logged", job_id: "0197-a" });
  expect(logged.mock.calls).toEqual([["0197-a"]]);
  expect(delivered).toEqual([]);
});
