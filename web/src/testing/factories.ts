import type { Attempt, Job, JobSummary, Session, Stats } from "../api/types";

const AT = "2026-11-20T12:00:00Z";

export function aSummary(fields: Partial<JobSummary> = {}): JobSummary {
  return {
    id: "0197-a",
    type: "mock",
    queue: "default",
    priority: "medium",
    status: "queued",
    attempts: 0,
    max_attempts: 3,
    run_at: AT,
    timeout_ms: 900_000,
    idempotency_key: null,
    tags: [],
    payload_preview: '{"sleep_ms":1}',
    error_preview: null,
    progress: null,
    progress_note: null,
    cancel_requested_at: null,
    version: 1,
    created_at: AT,
    updated_at: AT,
    started_at: null,
    finished_at: null,
    concurrency_key: null,
    rate_key: null,
    expires_at: null,
    name: null,
    on_dependency_failure: "cancel",
    ...fields,
  };
}

export function aJob(fields: Partial<Job> = {}): Job {
  const { payload_preview: _, error_preview: __, ...shared } = aSummary();
  return {
    ...shared,
    payload: {},
    result: null,
    last_error: null,
    depends_on: [],
    backoff: { strategy: "exponential", base_ms: 2000, max_ms: 60_000, jitter: 0 },
    ...fields,
  };
}

export function anAttempt(fields: Partial<Attempt> = {}): Attempt {
  return {
    number: 1,
    status: "failed",
    worker: "w-1",
    error: null,
    progress: null,
    progress_note: null,
    started_at: AT,
    finished_at: "2026-11-20T12:00:01Z",
    ...fields,
  };
}

export function aSession(fields: Partial<Session> = {}): Session {
  return {
    user: { id: "0197-u", email: "ada@example.com", role: "user", created_at: AT },
    access_token: "token-1",
    refresh_token: null,
    token_type: "bearer",
    expires_in: 900,
    ...fields,
  };
}

export function someStats(total: number): Stats {
  return {
    counts: {
      by_status: {
        blocked: 0,
        scheduled: 0,
        queued: total,
        running: 0,
        succeeded: 0,
        failed: 0,
        canceled: 0,
      },
      total,
      approximate: false,
    },
    oldest_queued_at: null,
    minutes: [],
    server_time: AT,
  };
}
