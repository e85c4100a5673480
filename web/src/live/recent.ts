import type { JobSummary } from "../api/types";

const KEPT = 1000;

/**
 * The newest events by job: tells a late or repeated event from a new one, and lets an answer that was
 * read while events came in be brought up to date. Bounded: the jobs heard of longest ago are let go.
 */
export class Recent {
  readonly #jobs = new Map<string, { at: number; job: JobSummary }>();

  /** False for an event that is not newer than what is known of its job. */
  take(job: JobSummary): boolean {
    const known = this.#jobs.get(job.id);
    if (known && known.job.version >= job.version) return false;
    this.#jobs.delete(job.id);
    this.#jobs.set(job.id, { at: Date.now(), job });
    const oldest = this.#jobs.keys().next().value;
    if (this.#jobs.size > KEPT && oldest !== undefined) this.#jobs.delete(oldest);
    return true;
  }

  /** The jobs heard of at or after this instant (milliseconds of this machine's clock). */
  since(instant: number): JobSummary[] {
    return [...this.#jobs.values()].filter(({ at }) => at >= instant).map(({ job }) => job);
  }

  clear(): void {
    this.#jobs.clear();
  }
}

export const recent = new Recent();
