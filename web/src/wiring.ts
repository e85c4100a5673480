import { QueryClient, type QueryKey } from "@tanstack/react-query";
import { session } from "./api/client";
import { ApiError } from "./api/errors";
import { type JobFilter, keys, liveTicket } from "./api/queries";
import type { Job, JobSummary } from "./api/types";
import { throttle } from "./lib/throttle";
import { type JobPage, mergeJob, mergeJobs } from "./live/apply";
import { Live } from "./live/live";
import { Notices } from "./live/notices";
import { recent } from "./live/recent";
import { toast, toasts } from "./ui/toast-store";

const TRIES = 3;
const STATS_GAP_MS = 2_000;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The socket tells of changes; looking at a page again reads it again, nothing else does.
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      retry: (failures, error) =>
        failures < TRIES && !(error instanceof ApiError && !error.passing),
    },
  },
});

const notices = new Notices(toast);
const rereadStats = throttle(
  () => void queries.invalidateQueries({ queryKey: keys.stats }),
  STATS_GAP_MS,
);

/** The token that bought the open socket's ticket: the socket ends with it, though a newer one may be here. */
let ticketToken: string | null = null;

export const live = new Live({
  ticket: async () => {
    ticketToken = await session.token();
    return liveTicket();
  },
  open: () => new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/ws/jobs`),
  renew: () => session.renew(ticketToken),
  signOut: () => session.end(),
  deliver,
  logged: (id) => void queries.invalidateQueries({ queryKey: keys.logs(id) }),
  reread: () => void queries.invalidateQueries(),
  recent,
});

function deliver(jobs: JobSummary[]): void {
  const mayEnter = handsOff();
  for (const [key, page] of queries.getQueriesData<JobPage>({ queryKey: keys.lists })) {
    if (page) queries.setQueryData(key, mergeJobs(page, jobs, { ...filterOf(key), mayEnter }));
  }
  for (const job of jobs) updateOpen(job);
  rereadStats();
  notices.take(jobs);
}

/** Rows may enter by themselves only while the reader is at the top and not about to click one. */
function handsOff(): boolean {
  // A finger leaves `:hover` behind where it last tapped.
  const pointed = matchMedia("(hover: hover)").matches ? ":hover, " : "";
  return window.scrollY < 80 && !document.querySelector(`tbody:is(${pointed}:focus-within)`);
}

function filterOf(key: QueryKey): JobFilter {
  return key[1] as JobFilter;
}

/** An open job shows the event's fields at once; result, error and attempts are read when its state changed. */
function updateOpen(event: JobSummary): void {
  const known = queries.getQueryData<Job>(keys.job(event.id));
  if (!known) return;
  queries.setQueryData(keys.job(event.id), mergeJob(known, event));
  if (known.status !== event.status) {
    void queries.invalidateQueries({ queryKey: keys.job(event.id) });
  }
}

/** Starts the page: restores the session, and ties the socket and the cache to whoever is signed in. */
export function start(): void {
  let owner: string | null = null;
  session.state.subscribe(() => {
    const state = session.state.get();
    const user = state.kind === "signed-in" ? state.user.id : null;
    if (user === owner || state.kind === "unreachable" || state.kind === "unknown") return;
    owner = user;
    forgetEverything();
    if (user) live.start();
  });
  document.addEventListener("visibilitychange", () => {
    live.setVisible(document.visibilityState === "visible");
  });
  window.addEventListener("online", () => live.nudge());
  void session.restore();
}

/** No row of the last user is ever painted for the next. */
function forgetEverything(): void {
  live.stop();
  notices.clear();
  recent.clear();
  toasts.set([]);
  queries.clear();
}
