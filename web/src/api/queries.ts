import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { type JobPage, mergeJobs } from "../live/apply";
import { recent } from "../live/recent";
import { answer, client } from "./client";
import { parseLossless, submissionText } from "./lossless";
import type { Job, JobStatus, LogLine, Submission } from "./types";

export interface JobFilter {
  status: JobStatus | null;
  /** Where an older page starts; null is the newest page. */
  cursor: string | null;
}

const PAGE_SIZE = 50;
const LOG_PAGE_SIZE = 1000;

export const keys = {
  lists: ["jobs"] as const,
  list: (filter: JobFilter) => ["jobs", filter] as const,
  job: (id: string) => ["job", id] as const,
  attempts: (id: string) => ["job", id, "attempts"] as const,
  logs: (id: string) => ["job", id, "logs"] as const,
  log: (id: string, attempt: number) => ["job", id, "logs", attempt] as const,
  stats: ["stats"] as const,
};

export function jobsQuery(filter: JobFilter) {
  return queryOptions({
    queryKey: keys.list(filter),
    queryFn: ({ signal }) => readPage(filter, signal),
  });
}

async function readPage(filter: JobFilter, signal: AbortSignal): Promise<JobPage> {
  const asked = Date.now();
  const query = {
    limit: PAGE_SIZE,
    ...(filter.status && { status: [filter.status] }),
    ...(filter.cursor && { cursor: filter.cursor }),
  };
  const { data, next_cursor } = await answer(client.GET("/v1/jobs", { params: { query }, signal }));
  // The answer may be older than an event that overtook it.
  const page = { rows: data, next: next_cursor ?? null, unseen: [] };
  return mergeJobs(page, recent.since(asked), { ...filter, mayEnter: true });
}

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: keys.job(id),
    queryFn: ({ signal }) =>
      wholeJob(client.GET("/v1/jobs/{id}", { params: { path: { id } }, parseAs: "text", signal })),
  });
}

/** The newest come first; there are as many pages as were asked for. */
export function attemptsQuery(id: string) {
  return infiniteQueryOptions({
    queryKey: keys.attempts(id),
    queryFn: ({ signal, pageParam }) => readAttempts(id, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    select: ({ pages }) => pages.flatMap((page) => page.data),
  });
}

function readAttempts(id: string, cursor: string | null, signal: AbortSignal) {
  const query = { limit: PAGE_SIZE, ...(cursor && { cursor }) };
  return answer(client.GET("/v1/jobs/{id}/attempts", { params: { path: { id }, query }, signal }));
}

/** All that an attempt logged; the server keeps little more than a page of it. */
export function logQuery(id: string, attempt: number) {
  return queryOptions({
    queryKey: keys.log(id, attempt),
    queryFn: async ({ signal }) => {
      const lines: LogLine[] = [];
      let cursor: string | null = null;
      do {
        const query = { attempt, limit: LOG_PAGE_SIZE, ...(cursor && { cursor }) };
        const page = await readLogPage(id, query, signal);
        lines.push(...page.data);
        cursor = page.next_cursor;
      } while (cursor !== null);
      return lines;
    },
  });
}

function readLogPage(
  id: string,
  query: { attempt: number; limit: number; cursor?: string },
  signal: AbortSignal,
) {
  return answer(client.GET("/v1/jobs/{id}/logs", { params: { path: { id }, query }, signal }));
}

export function statsQuery() {
  return queryOptions({
    queryKey: keys.stats,
    queryFn: async ({ signal }) => (await answer(client.GET("/v1/stats", { signal }))).data,
  });
}

export function jobTypesQuery() {
  return queryOptions({
    queryKey: ["job-types"],
    queryFn: async ({ signal }) => (await answer(client.GET("/v1/job-types", { signal }))).data,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export type SubmissionFields = Omit<Submission, "payload">;

/** Submits with the payload's text as typed; resolves to the job, whether new or deduplicated. */
export async function submitJob(fields: SubmissionFields, payload: string) {
  const body = submissionText(fields, payload);
  const call = client.POST("/v1/jobs", { body: fields, bodySerializer: () => body });
  return (await answer(call)).data;
}

export function cancelJob(id: string): Promise<Job> {
  return wholeJob(
    client.POST("/v1/jobs/{id}/cancel", { params: { path: { id } }, parseAs: "text" }),
  );
}

export function retryJob(id: string): Promise<Job> {
  return wholeJob(
    client.POST("/v1/jobs/{id}/retry", { params: { path: { id } }, parseAs: "text" }),
  );
}

export async function liveTicket(): Promise<string> {
  return (await answer(client.POST("/v1/ws/ticket"))).data.ticket;
}

/** A whole job is read as text, so that its payload and result keep every digit. */
async function wholeJob(
  call: Promise<{ data?: string; error?: unknown; response: Response }>,
): Promise<Job> {
  return (parseLossless(await answer(call)) as { data: Job }).data;
}
