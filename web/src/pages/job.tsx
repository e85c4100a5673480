import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ChevronLeft } from "lucide-react";
import { Link } from "wouter";
import { ApiError } from "../api/errors";
import { attemptsQuery, jobQuery } from "../api/queries";
import type { Job } from "../api/types";
import { Badge, shownStatus } from "../ui/badge";
import { JobActions } from "../ui/job-actions";
import { JsonView, TextView } from "../ui/json-view";
import { Page } from "../ui/page";
import { Problem, Skeleton } from "../ui/states";
import { Progress } from "../ui/times";
import { Attempts } from "./attempts";
import { JobFacts } from "./job-facts";
import { JobLog } from "./job-log";
import { NotFoundPage } from "./not-found";

/** One job: what went in, what came out, and every attempt. */
export function JobPage({ id }: { id: string }) {
  const job = useQuery(jobQuery(id));
  if (job.data) return <OpenJob job={job.data} />;
  if (job.error instanceof ApiError && [400, 404].includes(job.error.status)) {
    return (
      <NotFoundPage what="There is no such job here. Finished jobs are removed after a while." />
    );
  }
  return (
    <Page title="Job">
      {job.error ? (
        <Problem error={job.error} retry={() => job.refetch()} />
      ) : (
        <Skeleton lines={6} />
      )}
    </Page>
  );
}

function OpenJob({ job }: { job: Job }) {
  return (
    <>
      <Link href="/jobs" className="back">
        <ChevronLeft aria-hidden size={15} />
        All jobs
      </Link>
      <Page
        title={`${job.type} ${job.status}`}
        heading={job.type}
        className="job"
        aside={
          <div className="page-aside">
            <Badge status={shownStatus(job)} />
            <JobActions job={job} />
          </div>
        }
      >
        <Progress job={job} />
        {job.status === "running" && job.progress_note && (
          <p className="progress-note">{job.progress_note}</p>
        )}
        <div className="job-columns">
          <div className="job-main">
            {job.last_error && job.status !== "succeeded" && (
              <TextView title="Last error" text={job.last_error} tone="bad" />
            )}
            {(job.result !== null || job.status === "succeeded") && (
              <JsonView title="Result" value={job.result} />
            )}
            <JsonView title="Payload" value={job.payload} />
            <JobLog id={job.id} />
            <AttemptsOf id={job.id} />
          </div>
          <JobFacts job={job} />
        </div>
      </Page>
    </>
  );
}

function AttemptsOf({ id }: { id: string }) {
  const attempts = useInfiniteQuery(attemptsQuery(id));
  return (
    <section className="card" aria-label="Attempts">
      <header className="card-head">
        <h2>Attempts</h2>
      </header>
      {attempts.error && <Problem error={attempts.error} retry={() => attempts.refetch()} />}
      {attempts.isPending && <Skeleton lines={2} />}
      {attempts.data && <Attempts attempts={attempts.data} />}
      {attempts.hasNextPage && (
        <button type="button" className="button" onClick={() => attempts.fetchNextPage()}>
          Show older attempts
        </button>
      )}
    </section>
  );
}
