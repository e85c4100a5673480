import type { JobSummary } from "../api/types";

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const full = new Intl.DateTimeFormat("en", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});

const timeOfDay = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = [
  [DAY, "d"],
  [HOUR, "h"],
  [MINUTE, "min"],
  [SECOND, "s"],
] as const;

/** "14:03:07.250", for what follows each other closely. */
export function clock(at: number): string {
  return timeOfDay.format(at);
}

/** "3 min. ago", "in 4 sec."; anything nearer than a second is "now". */
export function ago(at: number, now: number): string {
  const distance = at - now;
  const size = Math.abs(distance);
  if (size < SECOND) return "now";
  if (size < MINUTE) return inUnits(distance, SECOND, "second");
  if (size < HOUR) return inUnits(distance, MINUTE, "minute");
  if (size < DAY) return inUnits(distance, HOUR, "hour");
  return inUnits(distance, DAY, "day");
}

/** The past counts what is over; the future is rounded, so that 4 h 59 min ahead is not "in 4 hr.". */
function inUnits(distance: number, size: number, unit: Intl.RelativeTimeFormatUnit): string {
  const steps = distance / size;
  return relative.format(distance > 0 ? Math.round(steps) : Math.trunc(steps), unit);
}

/** "850 ms", "1.2 s", "42 s", "1:03 min", "2:05 h", "3 d 4 h". */
export function duration(ms: number): string {
  const span = Math.max(0, ms);
  if (span < SECOND) return `${Math.round(span)} ms`;
  if (span < 10 * SECOND) return `${(Math.floor(span / 100) / 10).toFixed(1)} s`;
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`;
  if (span < HOUR) return `${Math.floor(span / MINUTE)}:${pad((span % MINUTE) / SECOND)} min`;
  if (span < DAY) return `${Math.floor(span / HOUR)}:${pad((span % HOUR) / MINUTE)} h`;
  return `${Math.floor(span / DAY)} d ${Math.floor((span % DAY) / HOUR)} h`;
}

/** A setting's length in the largest unit that fits it whole: "2 s", "15 min". */
export function limit(ms: number): string {
  for (const [size, unit] of UNITS)
    if (ms >= size && ms % size === 0) return `${ms / size} ${unit}`;
  return `${whole.format(ms)} ms`;
}

function pad(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}

/** Local date and time with the zone, for hovers and the job page. */
export function absolute(at: number): string {
  return full.format(at);
}

/** "1,204" up to 9,999 and "37.2K" above, so that a tile never grows. */
export function count(value: number): string {
  return value < 10_000 ? whole.format(value) : compact.format(value);
}

export function exact(value: number): string {
  return whole.format(value);
}

/** "1 failed job", "3 failed jobs". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${whole.format(value)} ${value === 1 ? one : many}`;
}

type Timed = Pick<
  JobSummary,
  "status" | "attempts" | "run_at" | "created_at" | "updated_at" | "started_at" | "finished_at"
>;

/** What matters about time in a job's present state, with the instant to show on hover. */
export function moment(job: Timed, now: number): { text: string; at: string } {
  switch (job.status) {
    case "blocked":
      return { text: "waits for others", at: job.created_at };
    case "scheduled":
      return {
        text: `${job.attempts > 0 ? "retries" : "starts"} ${ago(Math.max(now, Date.parse(job.run_at)), now)}`,
        at: job.run_at,
      };
    case "queued":
      return { text: `waiting ${duration(now - Date.parse(job.run_at))}`, at: job.run_at };
    case "running": {
      const since = job.started_at ?? job.updated_at;
      return { text: `running ${duration(now - Date.parse(since))}`, at: since };
    }
    default:
      return finished(job, now);
  }
}

function finished(job: Timed, now: number): { text: string; at: string } {
  const at = job.finished_at ?? job.updated_at;
  const when = ago(Date.parse(at), now);
  if (job.status === "canceled" || !job.started_at) return { text: when, at };
  return { text: `${when}, took ${duration(Date.parse(at) - Date.parse(job.started_at))}`, at };
}
