import type { Job, JobStatus, JobSummary } from "../api/types";

/** One page of the list as it is on screen. */
export interface JobPage {
  rows: JobSummary[];
  next: string | null;
  /** Ids of jobs that belong on this page and wait for the reader to ask for them. */
  unseen: string[];
}

export interface PageRule {
  status: JobStatus | null;
  cursor: string | null;
  /** Whether new rows may enter by themselves; false while the reader's hand is on the list. */
  mayEnter: boolean;
}

const ENTER_AT_ONCE = 3;
const MOST_ROWS = 200;
/** Counting ends here: a page left open under a flood must not grow. */
export const MOST_UNSEEN = 1000;

/**
 * Brings events into a page. Rows change in place and stay even when they no longer fit the filter, so
 * that nothing is pulled away under the pointer; new rows enter the unfiltered first page when they are
 * few, and otherwise are counted.
 */
export function mergeJobs(page: JobPage, events: readonly JobSummary[], rule: PageRule): JobPage {
  if (events.length === 0) return page;
  const byId = new Map(events.map((job) => [job.id, job]));
  const rows = page.rows.map((row) => newer(row, byId.get(row.id)));
  const shown = new Set(page.rows.map((row) => row.id));
  const strangers = events.filter((job) => !shown.has(job.id) && belongs(job, page, rule));
  if (mayEnter(strangers, page, rule)) {
    const entered = [...strangers, ...rows].sort((a, b) => (a.id < b.id ? 1 : -1));
    return { ...page, rows: entered };
  }
  const unseen = new Set([...page.unseen, ...strangers.map((job) => job.id)]);
  return { ...page, rows, unseen: [...unseen].slice(0, MOST_UNSEEN) };
}

function newer(row: JobSummary, event: JobSummary | undefined): JobSummary {
  return event && event.version > row.version ? event : row;
}

/** Ids are UUID v7: a larger one was submitted later. */
function belongs(job: JobSummary, page: JobPage, rule: PageRule): boolean {
  if (rule.cursor !== null) return false;
  if (rule.status !== null) return job.status === rule.status;
  const newest = page.rows[0];
  return newest === undefined || job.id > newest.id;
}

function mayEnter(strangers: readonly JobSummary[], page: JobPage, rule: PageRule): boolean {
  return (
    rule.mayEnter &&
    rule.status === null &&
    page.unseen.length === 0 &&
    strangers.length <= ENTER_AT_ONCE &&
    page.rows.length + strangers.length <= MOST_ROWS
  );
}

/** An open job takes the event's fields and keeps its payload, result and error until they are read again. */
export function mergeJob(job: Job, event: JobSummary): Job {
  if (event.version <= job.version) return job;
  const { payload_preview: _, error_preview: __, ...fields } = event;
  return { ...job, ...fields };
}
