import { Link } from "wouter";
import type { JobFilter } from "../api/queries";
import type { JobSummary } from "../api/types";
import { Badge, Priority, shownStatus } from "../ui/badge";
import { JobActions } from "../ui/job-actions";
import { Progress, When } from "../ui/times";

const TAGS_SHOWN = 2;

/** The jobs of one page. Narrow screens lay each row out as a card; the markup stays a table. */
export function JobTable({ rows, filter }: { rows: readonly JobSummary[]; filter: JobFilter }) {
  return (
    <table className="jobs">
      <caption className="visually-hidden">Jobs, newest submission first</caption>
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Type</th>
          <th scope="col">Queue</th>
          <th scope="col">Priority</th>
          <th scope="col">Attempts</th>
          <th scope="col">When</th>
          <th scope="col">
            <span className="visually-hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((job) => (
          <Row key={job.id} job={job} fits={!filter.status || filter.status === job.status} />
        ))}
      </tbody>
    </table>
  );
}

/** A row that has left the filter's status stays, dimmed, until the list is read again. */
function Row({ job, fits }: { job: JobSummary; fits: boolean }) {
  const last = job.attempts > 0 && job.attempts >= job.max_attempts - 1;
  return (
    <tr data-left={!fits}>
      <td className="cell-status">
        <Badge status={shownStatus(job)} />
      </td>
      <td className="cell-type">
        <Link href={`/jobs/${job.id}`} className="row-link">
          {job.type}
        </Link>
        <Tags tags={job.tags} />
        <Preview job={job} />
      </td>
      <td className="cell-queue">{job.queue}</td>
      <td className="cell-priority">
        <Priority value={job.priority} />
      </td>
      <td className="cell-attempts" data-last={last}>
        {job.attempts}/{job.max_attempts}
        <span className="visually-hidden"> failed</span>
      </td>
      <td className="cell-when">
        <When job={job} />
        <Progress job={job} />
      </td>
      <td className="cell-actions">
        <JobActions job={job} compact />
      </td>
    </tr>
  );
}

function Preview({ job }: { job: JobSummary }) {
  if (job.error_preview && job.status !== "succeeded") {
    return <p className="preview bad">{job.error_preview}</p>;
  }
  if (!job.payload_preview || job.payload_preview === "{}") return null;
  return <p className="preview">{job.payload_preview}</p>;
}

function Tags({ tags }: { tags: readonly string[] }) {
  const more = tags.length - TAGS_SHOWN;
  return (
    <>
      {tags.slice(0, TAGS_SHOWN).map((tag) => (
        <span key={tag} className="tag">
          {tag}
        </span>
      ))}
      {more > 0 && <span className="tag">+{more}</span>}
    </>
  );
}
