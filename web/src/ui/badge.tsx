import {
  ArrowDown,
  ArrowUp,
  Ban,
  CalendarClock,
  CircleCheck,
  CircleX,
  Clock3,
  Hourglass,
  LoaderCircle,
  LogOut,
  type LucideIcon,
  TimerOff,
  Unplug,
} from "lucide-react";
import type { Attempt, Job, JobStatus } from "../api/types";

type Shown = JobStatus | Attempt["status"] | "stopping";

const ICONS: Record<Shown, LucideIcon> = {
  blocked: Hourglass,
  scheduled: CalendarClock,
  queued: Clock3,
  running: LoaderCircle,
  stopping: LoaderCircle,
  succeeded: CircleCheck,
  failed: CircleX,
  canceled: Ban,
  timed_out: TimerOff,
  lost: Unplug,
  released: LogOut,
};

/** A status as icon, word and colour, so that none of them is needed alone. */
export function Badge({ status }: { status: Shown }) {
  const Icon = ICONS[status];
  return (
    <span className="badge" data-status={status}>
      <Icon aria-hidden size={14} />
      {status.replace("_", " ")}
    </span>
  );
}

export function StatusIcon({ status }: { status: JobStatus }) {
  const Icon = ICONS[status];
  return <Icon aria-hidden size={15} className="status-icon" data-status={status} />;
}

/** A running job that was asked to stop says so until it does. */
export function shownStatus(job: Pick<Job, "status" | "cancel_requested_at">): Shown {
  return job.status === "running" && job.cancel_requested_at ? "stopping" : job.status;
}

export function Priority({ value }: { value: Job["priority"] }) {
  const Icon = value === "high" ? ArrowUp : ArrowDown;
  return (
    <span className="priority" data-priority={value}>
      {value !== "medium" && <Icon aria-hidden size={14} />}
      {value}
    </span>
  );
}
