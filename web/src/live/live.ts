import type { JobSummary } from "../api/types";
import { createStore, type Store } from "../lib/store";
import { Inbox } from "./inbox";
import { Recent } from "./recent";
import { Resync } from "./resync";

export type LiveState =
  | { kind: "off" }
  | { kind: "connecting" }
  | { kind: "live" }
  /** Lost; the next try is at `retryAt`. `polling` once the socket has failed repeatedly. */
  | { kind: "waiting"; retryAt: number; polling: boolean }
  /** Closed on purpose while the tab is hidden. */
  | { kind: "asleep" }
  /** The server refused the socket for a reason that trying again does not cure. */
  | { kind: "stopped"; reason: string };

export interface LiveParts {
  ticket: () => Promise<string>;
  open: () => WebSocket;
  /** Replaces an access token that the socket says has ended. */
  renew: () => Promise<unknown>;
  /** Called when a fresh token is refused too. */
  signOut: () => void;
  deliver: (jobs: JobSummary[]) => void;
  /** A job has logged more. */
  logged: (id: string) => void;
  /** Everything on screen is to be read again. */
  reread: () => void;
  recent?: Recent;
  random?: () => number;
}

type Message =
  | { event: "ready" | "resync" | "ping" }
  | { event: `job.${string}`; job: JobSummary }
  | { event: "job.logged"; job_id: string };

const READY_MS = 5_000;
const SILENCE_MS = 45_000;
const HEALTHY_MS = 30_000;
/** A socket that was served this long ended with its token; one that was not had its token refused. */
const SERVED_MS = 5_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const POLL_MS = 10_000;
const POLL_AFTER = 3;
const HIDDEN_MS = 5 * 60_000;
const TOKEN_ENDED = 4401;

type Timer = "ready" | "silence" | "healthy" | "retry" | "poll" | "hidden";

/**
 * Keeps one socket open for as long as somebody is signed in and looks. Every `ready` means "subscribed":
 * only then is the page read again, so that nothing falls between reading and listening.
 */
export class Live {
  readonly state: Store<LiveState> = createStore<LiveState>({ kind: "off" });
  readonly #parts: LiveParts;
  readonly #inbox: Inbox;
  readonly #resync: Resync;
  readonly #timers = new Map<Timer, ReturnType<typeof setTimeout>>();
  #socket: WebSocket | null = null;
  /** Counts connections; what an older one still says is not heard. */
  #life = 0;
  #failures = 0;
  #refusals = 0;
  #readyAt = Number.POSITIVE_INFINITY;

  constructor(parts: LiveParts) {
    this.#parts = parts;
    this.#inbox = new Inbox(parts.recent ?? new Recent(), parts.deliver);
    this.#resync = new Resync(parts.reread);
  }

  start(): void {
    if (this.state.get().kind === "off") this.#connect();
  }

  stop(): void {
    this.#hangUp();
    this.#inbox.clear();
    this.#clear("hidden");
    this.#clear("poll");
    this.#failures = 0;
    this.#refusals = 0;
    this.state.set({ kind: "off" });
  }

  /** The network is back or the tab is looked at again: no reason to sit out a backoff. */
  nudge(): void {
    const { kind } = this.state.get();
    if (kind === "waiting" || kind === "asleep") this.#connect();
  }

  setVisible(visible: boolean): void {
    this.#clear("hidden");
    if (visible) this.nudge();
    else this.#after("hidden", HIDDEN_MS, () => this.#sleep());
  }

  async #connect(): Promise<void> {
    this.#hangUp();
    const life = this.#life;
    this.state.set({ kind: "connecting" });
    try {
      const ticket = await this.#parts.ticket();
      if (life === this.#life) this.#listen(this.#parts.open(), ticket, life);
    } catch {
      if (life === this.#life) this.#lost();
    }
  }

  #listen(socket: WebSocket, ticket: string, life: number): void {
    this.#socket = socket;
    const current = () => life === this.#life;
    socket.onopen = () => socket.send(JSON.stringify({ ticket }));
    socket.onmessage = (message) => {
      if (current()) this.#heard(JSON.parse(String(message.data)) as Message);
    };
    socket.onclose = (close) => {
      if (current()) this.#closed(close.code, close.reason);
    };
    this.#after("ready", READY_MS, () => this.#lost());
  }

  #heard(message: Message): void {
    // A half-open socket says nothing at all; the server pings every 20 s.
    this.#after("silence", SILENCE_MS, () => this.#lost());
    if ("job" in message) this.#inbox.put(message.job);
    else if ("job_id" in message) this.#parts.logged(message.job_id);
    else if (message.event === "ready") this.#ready();
    else if (message.event === "resync") this.#resync.request();
  }

  #ready(): void {
    this.#clear("ready");
    this.#clear("poll");
    this.#readyAt = Date.now();
    this.state.set({ kind: "live" });
    this.#resync.request();
    this.#after("healthy", HEALTHY_MS, () => {
      this.#failures = 0;
    });
  }

  #closed(code: number, reason: string): void {
    if (code === TOKEN_ENDED) this.#refused();
    else if (code >= 4400 && code < 4500) {
      this.#hangUp();
      this.state.set({ kind: "stopped", reason: reason || `The server closed with ${code}.` });
    } else this.#lost();
  }

  #refused(): void {
    const served = Date.now() - this.#readyAt >= SERVED_MS;
    this.#refusals = served ? 1 : this.#refusals + 1;
    this.#hangUp();
    if (this.#refusals > 1) {
      this.stop();
      this.#parts.signOut();
      return;
    }
    this.state.set({ kind: "connecting" });
    const life = this.#life;
    const unlessOver = (next: () => void) => () => {
      if (life === this.#life) next();
    };
    this.#parts.renew().then(
      unlessOver(() => this.#connect()),
      unlessOver(() => this.#lost()),
    );
  }

  #lost(): void {
    this.#hangUp();
    this.#failures += 1;
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#failures);
    const wait = Math.max(BACKOFF_MS, (this.#parts.random ?? Math.random)() * ceiling);
    const polling = this.#failures >= POLL_AFTER;
    this.state.set({ kind: "waiting", retryAt: Date.now() + wait, polling });
    this.#after("retry", wait, () => this.#connect());
    if (polling && !this.#timers.has("poll")) this.#poll();
  }

  /** Goes on over failed tries, until a socket is ready again. */
  #poll(): void {
    this.#after("poll", POLL_MS, () => {
      this.#parts.reread();
      this.#poll();
    });
  }

  #sleep(): void {
    if (this.state.get().kind === "off") return;
    this.#hangUp();
    this.#clear("poll");
    this.state.set({ kind: "asleep" });
  }

  #hangUp(): void {
    this.#life += 1;
    this.#socket?.close();
    this.#socket = null;
    this.#readyAt = Number.POSITIVE_INFINITY;
    this.#resync.clear();
    for (const name of ["ready", "silence", "healthy", "retry"] as const) this.#clear(name);
  }

  #after(name: Timer, ms: number, action: () => void): void {
    this.#clear(name);
    this.#timers.set(name, setTimeout(action, ms));
  }

  #clear(name: Timer): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
