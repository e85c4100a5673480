import type { ReactNode } from "react";
import type { Job } from "../api/types";
import { limit } from "../lib/format";
import { Priority } from "../ui/badge";
import { CopyButton } from "../ui/copy";
import { Instant } from "../ui/times";

/** Everything else that is known of a job, in the order in which one asks for it. */
export function JobFacts({ job }: { job: Job }) {
  return (
    <section className="card facts" aria-label="Details">
      <header className="card-head">
        <h2>Details</h2>
      </header>
      <dl className="pairs">
        <Fact name="Id">
          <code>{job.id}</code>
          <CopyButton text={job.id} label="Copy the id" />
        </Fact>
        <Fact name="Queue">{job.queue}</Fact>
        <Fact name="Priority">
          <Priority value={job.priority} />
        </Fact>
        <Fact name="Failed attempts">
          {job.attempts} of {job.max_attempts}
        </Fact>
        <Time name="Submitted" at={job.created_at} />
        <Time name="Due" at={job.run_at} />
        <Time name="Started" at={job.started_at} />
        <Time name="Finished" at={job.finished_at} />
        <Time name="Asked to stop" at={job.cancel_requested_at} />
        <Fact name="Retries">{backoff(job.backoff)}</Fact>
        <Fact name="Time limit">{limit(job.timeout_ms)} an attempt</Fact>
        {job.tags.length > 0 && <Fact name="Tags">{job.tags.join(", ")}</Fact>}
        {job.idempotency_key && <Fact name="Idempotency key">{job.idempotency_key}</Fact>}
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Time({ name, at }: { name: string; at: string | null }) {
  if (!at) return null;
  return (
    <Fact name={name}>
      <Instant at={at} />
    </Fact>
  );
}

function backoff({ strategy, base_ms, max_ms }: Job["backoff"]): string {
  if (strategy === "fixed") return `every ${limit(base_ms)}`;
  return `after ${limit(base_ms)}, doubling up to ${limit(max_ms)}`;
}
