import type { Stats } from "../api/types";
import { duration, exact } from "../lib/format";

type Minute = Stats["minutes"][number];

const HEIGHT = 40;

/** The last hour, a bar a minute, with the same in words beside it. */
export function Throughput({ minutes }: { minutes: readonly Minute[] }) {
  const succeeded = sum(minutes, "succeeded");
  const failed = sum(minutes, "failed");
  if (succeeded + failed === 0) return null;
  const wait = Math.max(...minutes.map((minute) => minute.wait_p95_ms ?? 0));
  return (
    <section className="card throughput" aria-label="The last hour">
      <dl>
        <Figure name="Succeeded, last hour" value={exact(succeeded)} />
        <Figure name="Failed" value={exact(failed)} />
        <Figure name="Longest wait (p95)" value={duration(wait)} />
      </dl>
      <Bars minutes={minutes} />
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Bars({ minutes }: { minutes: readonly Minute[] }) {
  const most = Math.max(...minutes.map((minute) => minute.succeeded + minute.failed));
  const scale = (jobs: number) => (jobs > 0 ? Math.max(1.5, (jobs / most) * HEIGHT) : 0);
  return (
    <svg
      className="bars"
      viewBox={`0 0 ${minutes.length * 4} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {minutes.map((minute, index) => {
        const good = scale(minute.succeeded);
        const bad = scale(minute.failed);
        return (
          <g key={minute.at}>
            <rect className="bar-none" x={index * 4} y={HEIGHT - 1} width={3} height={1} />
            <rect className="bar-good" x={index * 4} y={HEIGHT - good} width={3} height={good} />
            <rect
              className="bar-bad"
              x={index * 4}
              y={HEIGHT - good - bad}
              width={3}
              height={bad}
            />
          </g>
        );
      })}
    </svg>
  );
}

function sum(minutes: readonly Minute[], field: "succeeded" | "failed"): number {
  return minutes.reduce((total, minute) => total + minute[field], 0);
}
