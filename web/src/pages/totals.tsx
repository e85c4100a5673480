import { Layers } from "lucide-react";
import { Link } from "wouter";
import { type JobStatus, STATUSES, type Stats } from "../api/types";
import { count, exact } from "../lib/format";
import { StatusIcon } from "../ui/badge";

interface TotalsProps {
  counts: Stats["counts"] | undefined;
  current: JobStatus | null;
}

/** How many jobs are in each state; every number leads to the jobs that it counts. */
export function Totals({ counts, current }: TotalsProps) {
  return (
    <nav className="totals" aria-label="Jobs by status">
      <Tile status={null} value={counts?.total} counts={counts} current={current} />
      {STATUSES.map((status) => (
        <Tile
          key={status}
          status={status}
          value={counts?.by_status[status]}
          counts={counts}
          current={current}
        />
      ))}
    </nav>
  );
}

interface TileProps extends TotalsProps {
  status: JobStatus | null;
  value: number | undefined;
}

function Tile({ status, value, counts, current }: TileProps) {
  const about = counts?.approximate ? "~" : "";
  return (
    <Link
      href={status ? `/jobs?status=${status}` : "/jobs"}
      className="tile"
      data-status={status ?? "all"}
      data-zero={value === 0}
      aria-current={status === current ? "page" : undefined}
    >
      <span className="tile-name">
        {status ? <StatusIcon status={status} /> : <Layers aria-hidden size={15} />}
        <span>{status ?? "all"}</span>
      </span>{" "}
      <span className="tile-count" title={value === undefined ? undefined : exact(value)}>
        {value === undefined ? "–" : about + count(value)}
      </span>
    </Link>
  );
}
