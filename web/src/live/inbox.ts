import type { JobSummary } from "../api/types";
import type { Recent } from "./recent";

const FLUSH_MS = 250;

/** Collects events and hands over the newest of each job, at most four times a second. */
export class Inbox {
  readonly #waiting = new Map<string, JobSummary>();
  readonly #recent: Recent;
  readonly #deliver: (jobs: JobSummary[]) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(recent: Recent, deliver: (jobs: JobSummary[]) => void) {
    this.#recent = recent;
    this.#deliver = deliver;
  }

  /** A repeated or late event is dropped: `version` orders them, not arrival. */
  put(job: JobSummary): void {
    if (!this.#recent.take(job)) return;
    this.#waiting.set(job.id, job);
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting.clear();
  }

  #flush(): void {
    const jobs = [...this.#waiting.values()];
    this.clear();
    this.#deliver(jobs);
  }
}
