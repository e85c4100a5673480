import type { components } from "./schema";

type Schemas = components["schemas"];

export type Attempt = Schemas["Attempt"];
export type Job = Schemas["Job"];
export type JobStatus = Job["status"];
export type JobSummary = Schemas["JobSummary"];
export type LogLine = Schemas["LogLine"];
export type JobType = Schemas["JobType"];
export type Session = Schemas["Session"];
export type Stats = Schemas["Stats"];
export type Submission = Schemas["Submission"];
export type User = Schemas["User"];

export const STATUSES = [
  "blocked",
  "scheduled",
  "queued",
  "running",
  "succeeded",
  "failed",
  "canceled",
] as const satisfies readonly JobStatus[];

export function isStatus(value: string | null): value is JobStatus {
  return (STATUSES as readonly (string | null)[]).includes(value);
}
