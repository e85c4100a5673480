import { createStore, type Store } from "../lib/store";
import { refusal, unreachable } from "./errors";
import type { Session, User } from "./types";

export type SessionState =
  | { kind: "unknown" }
  | { kind: "unreachable" }
  | { kind: "anonymous" }
  | { kind: "signed-in"; user: User };

/** What siblings in other tabs are told. The token stays in memory there too. */
type Broadcast = { kind: "session"; session: Session } | { kind: "logout" };

export interface SessionParts {
  fetch: typeof fetch;
  /** Runs one renewal at a time over all tabs. */
  lock: (work: () => Promise<string | null>) => Promise<string | null>;
  channel: Pick<BroadcastChannel, "postMessage" | "addEventListener">;
  /** Holds only the fact that somebody was signed in, so that strangers cause no failing refresh. */
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  visible: () => boolean;
}

const FLAG = "windlass.signed-in";
const SPARE_MS = 5000;
const RENEW_AT = 0.8;

/**
 * Who is signed in, and the access token: in memory only. The refresh token is a cookie that no script
 * can read; a renewal therefore needs nothing but a request, and the header that a foreign page cannot send.
 */
export class SessionKeeper {
  readonly state: Store<SessionState> = createStore<SessionState>({ kind: "unknown" });
  readonly #parts: SessionParts;
  #token: string | null = null;
  #expiresAt = 0;
  #renewal: Promise<string | null> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    parts.channel.addEventListener("message", (event: MessageEvent<Broadcast>) => {
      if (event.data.kind === "session") this.#adopt(event.data.session);
      else this.#forget();
    });
  }

  /** After a page load: signed in again where the cookie still is good. */
  async restore(): Promise<void> {
    this.state.set({ kind: "unknown" });
    if (!this.#parts.storage.getItem(FLAG)) return this.#forget();
    await this.renew(null).catch(() => this.state.set({ kind: "unreachable" }));
  }

  async signIn(path: "/v1/login" | "/v1/signup", email: string, password: string): Promise<void> {
    const response = await this.#post(path, { email, password, cookie: true });
    this.#share(await sessionOf(response));
  }

  async logout(): Promise<void> {
    await this.#post("/v1/logout").catch(() => undefined);
    this.end();
  }

  /** Signs out here and in the other tabs without asking the server: the session has ended there. */
  end(): void {
    this.#forget();
    this.#parts.channel.postMessage({ kind: "logout" } satisfies Broadcast);
  }

  /** A token good for the next seconds, or null when nobody is signed in. */
  async token(): Promise<string | null> {
    if (this.#token && Date.now() < this.#expiresAt - SPARE_MS) return this.#token;
    return this.#token ? this.renew(this.#token) : null;
  }

  /** Replaces the token that was refused or has run out; every caller shares one renewal. */
  renew(spent: string | null): Promise<string | null> {
    this.#renewal ??= this.#parts
      .lock(() => this.#refresh(spent))
      .finally(() => {
        this.#renewal = null;
      });
    return this.#renewal;
  }

  async #refresh(spent: string | null): Promise<string | null> {
    // While this tab waited for the lock a sibling may have renewed and told us.
    if (this.#token && this.#token !== spent) return this.#token;
    const response = await this.#post("/v1/token/refresh");
    if (response.status === 401) {
      this.#forget();
      return null;
    }
    return this.#share(await sessionOf(response));
  }

  #post(path: string, body?: object): Promise<Response> {
    const headers: Record<string, string> = { "X-Windlass-Client": "dashboard" };
    if (body) headers["Content-Type"] = "application/json";
    const { fetch } = this.#parts;
    return fetch(path, {
      method: "POST",
      headers,
      ...(body && { body: JSON.stringify(body) }),
    }).catch(() => Promise.reject(unreachable()));
  }

  #share(session: Session): string {
    this.#adopt(session);
    this.#parts.channel.postMessage({ kind: "session", session } satisfies Broadcast);
    return session.access_token;
  }

  #adopt(session: Session): void {
    const life = session.expires_in * 1000;
    this.#token = session.access_token;
    this.#expiresAt = Date.now() + life;
    this.#parts.storage.setItem(FLAG, "1");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renewEarly(session.access_token), life * RENEW_AT);
    this.state.set({ kind: "signed-in", user: session.user });
  }

  /** A hidden tab waits for its next request instead, so that closed lids do not rotate tokens all night. */
  #renewEarly(token: string): void {
    if (this.#parts.visible()) this.renew(token).catch(() => undefined);
  }

  #forget(): void {
    this.#token = null;
    clearTimeout(this.#timer);
    this.#parts.storage.removeItem(FLAG);
    this.state.set({ kind: "anonymous" });
  }
}

async function sessionOf(response: Response): Promise<Session> {
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response, body);
  return (body as { data: Session }).data;
}
