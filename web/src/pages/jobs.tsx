import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight, RefreshCw } from "lucide-react";
import { Link, useSearchParams } from "wouter";
import { type JobFilter, jobsQuery, statsQuery } from "../api/queries";
import { isStatus, type JobStatus } from "../api/types";
import { plural } from "../lib/format";
import { MOST_UNSEEN } from "../live/apply";
import { Page } from "../ui/page";
import { Problem, Skeleton } from "../ui/states";
import { FirstRun } from "./first-run";
import { JobTable } from "./job-table";
import { Throughput } from "./throughput";
import { Totals } from "./totals";

/** The list: totals that filter it, the last hour, and the jobs, newest first. */
export function JobsPage() {
  const filter = useFilter();
  const stats = useQuery(statsQuery());
  const list = useQuery({ ...jobsQuery(filter), placeholderData: keepPreviousData });
  const untouched = !filter.status && !filter.cursor && list.data?.rows.length === 0;
  return (
    <Page title={filter.status ? `${capital(filter.status)} jobs` : "Jobs"} heading="Jobs">
      <Totals counts={stats.data?.counts} current={filter.status} />
      {untouched && !list.isPlaceholderData ? (
        <FirstRun />
      ) : (
        <>
          {stats.data && <Throughput minutes={stats.data.minutes} />}
          {list.error && <Problem error={list.error} retry={() => list.refetch()} />}
          {list.isPending && <Skeleton lines={8} />}
          {list.data && (
            <section className="card list" aria-label="Jobs" data-stale={list.isPlaceholderData}>
              <Unseen ids={list.data.unseen} show={() => list.refetch()} />
              {list.data.rows.length > 0 ? (
                <JobTable rows={list.data.rows} filter={filter} />
              ) : (
                <NoMatch status={filter.status} />
              )}
              <Pager filter={filter} next={list.data.next} />
            </section>
          )}
        </>
      )}
    </Page>
  );
}

/** The URL is the state; a status that does not exist is ignored. */
function useFilter(): JobFilter {
  const [search] = useSearchParams();
  const status = search.get("status");
  return { status: isStatus(status) ? status : null, cursor: search.get("cursor") };
}

function Unseen({ ids, show }: { ids: readonly string[]; show: () => void }) {
  if (ids.length === 0) return null;
  return (
    <button type="button" className="unseen" onClick={show}>
      <RefreshCw aria-hidden size={14} />
      Show {ids.length < MOST_UNSEEN ? plural(ids.length, "new job") : "more than 1,000 new jobs"}
    </button>
  );
}

function NoMatch({ status }: { status: JobStatus | null }) {
  return (
    <p className="empty">
      {status ? `No job is ${status} right now.` : "There are no older jobs."}{" "}
      <Link href="/jobs">Show all jobs</Link>
    </p>
  );
}

function Pager({ filter, next }: { filter: JobFilter; next: string | null }) {
  if (!next && !filter.cursor) return null;
  const page = (cursor: string | null) => {
    const query = new URLSearchParams();
    if (filter.status) query.set("status", filter.status);
    if (cursor) query.set("cursor", cursor);
    return `/jobs?${query}`;
  };
  return (
    <nav className="pager" aria-label="Pages of the list">
      {filter.cursor && (
        <Link href={page(null)} className="button">
          <ChevronLeft aria-hidden size={15} />
          Newest
        </Link>
      )}
      {next && (
        <Link href={page(next)} className="button">
          Older
          <ChevronRight aria-hidden size={15} />
        </Link>
      )}
    </nav>
  );
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
