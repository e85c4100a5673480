import type { JobSummary } from "../api/types";
import { seconds } from "../lib/clock";
import { absolute, ago, duration, moment } from "../lib/format";
import { useStore } from "./use-store";

/** "3 min. ago", with the exact time on hover. */
export function Ago({ at }: { at: string }) {
  const now = useStore(seconds);
  return (
    <time dateTime={at} title={absolute(Date.parse(at))}>
      {ago(Date.parse(at), now)}
    </time>
  );
}

/** The exact time, with its distance from now beside it. */
export function Instant({ at }: { at: string }) {
  const now = useStore(seconds);
  return (
    <time dateTime={at} className="instant">
      <span>{absolute(Date.parse(at))}</span>{" "}
      <span className="quiet">{ago(Date.parse(at), now)}</span>
    </time>
  );
}

/** What matters about time in a job's state: "in 4 min.", "waiting 12 s", "running 1:03 min". */
export function When({ job }: { job: JobSummary }) {
  const { text, at } = moment(job, useStore(seconds));
  return (
    <time dateTime={at} title={absolute(Date.parse(at))}>
      {text}
    </time>
  );
}

/** How far a running job says it is; nothing where it does not say. */
export function Progress({ job }: { job: Pick<JobSummary, "status" | "progress"> }) {
  if (job.status !== "running" || job.progress === null) return null;
  return <progress className="progress" aria-label="Progress" value={job.progress} max={1} />;
}

/** How long something took, or takes until now. */
export function Took({ from, to }: { from: string; to: string | null }) {
  const now = useStore(seconds);
  return <>{duration((to ? Date.parse(to) : now) - Date.parse(from))}</>;
}
