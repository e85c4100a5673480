import { fireEvent, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { aJob, anAttempt } from "../testing/factories";
import { renderPage } from "../testing/render";
import { refused, serve } from "../testing/server";
import { JobPage } from "./job";

const ATTEMPTS = "GET /v1/jobs/0197-a/attempts";
const JOB = "GET /v1/jobs/0197-a";
const LOGS = "GET /v1/jobs/0197-a/logs";

function answerOf(fields: Parameters<typeof aJob>[0], payload = "{}") {
  const { payload: _, ...rest } = aJob(fields);
  return { body: `{"data":${JSON.stringify(rest).slice(0, -1)},"payload":${payload}}}` };
}

test("payload and result are shown with the digits that were sent", async () => {
  serve({
    [JOB]: () => answerOf({ status: "queued" }, '{"id":12345678901234567890123,"price":1.10}'),
    [ATTEMPTS]: () => ({ body: { data: [], next_cursor: null } }),
  });
  renderPage(<JobPage id="0197-a" />, "/jobs/0197-a");
  const payload = await screen.findByRole("region", { name: "Payload" });
  expect(payload.textContent).toContain('"id": 12345678901234567890123');
  expect(payload.textContent).toContain('"price": 1.10');
  expect(await screen.findByText("Not started yet.")).toBeDefined();
});

test("a failed job shows its error, its attempts and the way to retry", async () => {
  serve({
    [JOB]: () => answerOf({ status: "failed", last_error: "ValueError: no\n  at line 3" }),
    [ATTEMPTS]: () => ({
      body: {
        data: [anAttempt({ number: 2 }), anAttempt({ number: 1, status: "lost" })],
        next_cursor: null,
      },
    }),
    [LOGS]: () => ({ body: { data: [], next_cursor: null } }),
  });
  renderPage(<JobPage id="0197-a" />, "/jobs/0197-a");
  const error = await screen.findByRole("region", { name: "Last error" });
  expect(error.textContent).toContain("ValueError: no");
  expect(screen.getByRole("button", { name: "Retry" })).toBeDefined();
  expect(await screen.findByRole("row", { name: /^2 failed/ })).toBeDefined();
  expect(screen.getByRole("row", { name: /^1 lost/ })).toBeDefined();
  expect(document.title).toBe("mock failed · Windlass");
});

test("older attempts are read when they are asked for", async () => {
  serve({
    [JOB]: () => answerOf({ status: "succeeded", result: null }),
    [ATTEMPTS]: (_, earlier) => ({
      body:
        earlier === 0
          ? { data: [anAttempt({ number: 2 })], next_cursor: "older" }
          : { data: [anAttempt({ number: 1 })], next_cursor: null },
    }),
    [LOGS]: () => ({ body: { data: [], next_cursor: null } }),
  });
  renderPage(<JobPage id="0197-a" />, "/jobs/0197-a");
  const more = await screen.findByRole("button", { name: "Show older attempts" });
  expect(screen.queryByRole("row", { name: /^1 / })).toBeNull();
  fireEvent.click(more);
  expect(await screen.findByRole("row", { name: /^1 / })).toBeDefined();
  expect(screen.getByRole("row", { name: /^2 / })).toBeDefined();
  expect(screen.queryByRole("button", { name: "Show older attempts" })).toBeNull();
});

test("what the newest attempt says is shown while it runs, all pages of it", async () => {
  const at = "2026-11-20T12:00:00.250Z";
  const note = { progress: 0.5, progress_note: "half of it" };
  const seen = serve({
    [JOB]: () => answerOf({ status: "running", ...note }),
    [ATTEMPTS]: () => ({
      body: {
        data: [
          anAttempt({ number: 2, status: "running", finished_at: null, ...note }),
          anAttempt({ number: 1, progress_note: "a third of it" }),
        ],
        next_cursor: null,
      },
    }),
    [LOGS]: (_, earlier) => ({
      body:
        earlier === 0
          ? { data: [{ at, attempt: 2, line: "first\nof two" }], next_cursor: "more" }
          : { data: [{ at, attempt: 2, line: "last" }], next_cursor: null },
    }),
  });
  renderPage(<JobPage id="0197-a" />, "/jobs/0197-a");
  const log = await screen.findByRole("region", { name: "Log of attempt 2" });
  const lines = log.querySelector("pre")?.textContent?.split("\n") ?? [];
  expect(lines.map((line) => line.trim().split("  ").at(-1))).toEqual(["first", "of two", "last"]);
  expect(lines[0]).toMatch(/^\d\d:00:00\.250 {2}first$/);
  expect(seen.filter(({ route }) => route === LOGS)).toHaveLength(2);
  expect(screen.getAllByText("half of it")).toHaveLength(1);
  expect(screen.getByRole("row", { name: /^1 failed a third of it/ })).toBeDefined();
});

test("a job that is not there is told as such", async () => {
  serve({ [JOB]: () => ({ status: 404, body: refused("NOT_FOUND", "there is no such job") }) });
  renderPage(<JobPage id="0197-a" />, "/jobs/0197-a");
  expect(await screen.findByText(/There is no such job here/)).toBeDefined();
});
