import type { Attempt } from "../api/types";
import { Badge } from "../ui/badge";
import { Ago, Took } from "../ui/times";

/** Starts of a job, the newest first. */
export function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  if (attempts.length === 0) return <p className="empty">Not started yet.</p>;
  return (
    <table className="attempts">
      <caption className="visually-hidden">Attempts, newest first</caption>
      <thead>
        <tr>
          <th scope="col">No.</th>
          <th scope="col">Outcome</th>
          <th scope="col">Started</th>
          <th scope="col">Took</th>
          <th scope="col">Worker</th>
        </tr>
      </thead>
      <tbody>
        {attempts.map((attempt) => (
          <Row key={attempt.number} attempt={attempt} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ attempt }: { attempt: Attempt }) {
  return (
    <tr>
      <td className="number">{attempt.number}</td>
      <td>
        <Badge status={attempt.status} />
        {attempt.error && <p className="preview bad whole">{attempt.error}</p>}
        {/* A running one's moves on, and stands beside the job's progress. */}
        {attempt.finished_at && attempt.progress_note && (
          <p className="preview whole">{attempt.progress_note}</p>
        )}
      </td>
      <td>
        <Ago at={attempt.started_at} />
      </td>
      <td className="number">
        <Took from={attempt.started_at} to={attempt.finished_at} />
      </td>
      <td className="worker">{attempt.worker}</td>
    </tr>
  );
}
