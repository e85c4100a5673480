import type { JobSummary } from "../api/types";
import { plural } from "../lib/format";

export interface Notice {
  tone: "good" | "bad";
  text: string;
  detail?: string;
  /** Where the notice leads: the one job, or the list that was summed up. */
  href: string;
}

const WINDOW_MS = 5_000;

/**
 * Tells of finished and failed jobs: the first at once, and whatever follows within five seconds as one
 * sum, so that a batch of a thousand is two sentences and not a thousand.
 */
export class Notices {
  readonly #tell: (notice: Notice) => void;
  #held: JobSummary[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(tell: (notice: Notice) => void) {
    this.#tell = tell;
  }

  take(jobs: readonly JobSummary[]): void {
    this.#held.push(...jobs.filter(({ status }) => status === "succeeded" || status === "failed"));
    if (this.#timer === undefined) this.#flush();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held = [];
  }

  #flush(): void {
    const jobs = this.#held;
    this.clear();
    if (jobs.length === 0) return;
    this.#tell(notice(jobs));
    this.#timer = setTimeout(() => this.#flush(), WINDOW_MS);
  }
}

function notice(jobs: readonly JobSummary[]): Notice {
  const [only, ...rest] = jobs;
  if (only && rest.length === 0) return single(only);
  const failed = jobs.filter(({ status }) => status === "failed").length;
  if (failed === 0) return sum("good", `${plural(jobs.length, "job")} succeeded`, "succeeded");
  if (failed === jobs.length) return sum("bad", `${plural(failed, "job")} failed`, "failed");
  return sum("bad", `${jobs.length - failed} jobs succeeded, ${failed} failed`, "failed");
}

function single(job: JobSummary): Notice {
  const href = `/jobs/${job.id}`;
  if (job.status === "succeeded") return { tone: "good", text: `${job.type} succeeded`, href };
  return {
    tone: "bad",
    text: `${job.type} failed`,
    href,
    ...(job.error_preview && { detail: job.error_preview }),
  };
}

function sum(tone: Notice["tone"], text: string, status: string): Notice {
  return { tone, text, href: `/jobs?status=${status}` };
}
