import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { aSummary, someStats } from "../testing/factories";
import { renderPage } from "../testing/render";
import { refused, serve } from "../testing/server";
import { JobsPage } from "./jobs";

const list = (...rows: ReturnType<typeof aSummary>[]) => ({
  body: { data: rows, next_cursor: null },
});
const stats = (total: number) => ({
  "GET /v1/stats": () => ({ body: { data: someStats(total) } }),
});

test("while loading it never says that there are no jobs", async () => {
  serve({ ...stats(3), "GET /v1/jobs": () => new Promise(() => undefined) });
  renderPage(<JobsPage />, "/jobs");
  expect(await screen.findByText("Loading")).toBeDefined();
  expect(screen.queryByText(/no job/i)).toBeNull();
  expect(screen.queryByText("Run your first job")).toBeNull();
});

test("somebody without jobs is led to a first one", async () => {
  const seen = serve({
    ...stats(0),
    "GET /v1/jobs": (_, earlier) => (earlier === 0 ? list() : list(aSummary())),
    "POST /v1/jobs": () => ({ status: 201, body: { data: { id: "7", deduplicated: false } } }),
  });
  renderPage(<JobsPage />, "/jobs");
  await userEvent.click(await screen.findByRole("button", { name: "Run a sample job" }));
  expect(await screen.findByRole("row", { name: /queued mock/ })).toBeDefined();
  const submitted = seen.find(({ route }) => route === "POST /v1/jobs");
  expect(JSON.parse(submitted?.body ?? "")).toEqual({ type: "mock", payload: { sleep_ms: 3000 } });
});

test("a list that cannot be read says why and offers another try", async () => {
  serve({
    ...stats(3),
    "GET /v1/jobs": (_, earlier) =>
      earlier === 0
        ? { status: 503, body: refused("UNAVAILABLE", "The database is away.") }
        : list(aSummary()),
  });
  renderPage(<JobsPage />, "/jobs");
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("The database is away.");
  expect(alert.textContent).toContain("req-1");
  await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
  expect(await screen.findByRole("row", { name: /queued mock/ })).toBeDefined();
});

test("a filter without matches says so and leads back", async () => {
  serve({ ...stats(3), "GET /v1/jobs": () => list() });
  renderPage(<JobsPage />, "/jobs?status=failed");
  expect(await screen.findByText(/No job is failed right now/)).toBeDefined();
  expect(screen.getByRole("link", { name: "Show all jobs" }).getAttribute("href")).toBe("/jobs");
  expect(document.title).toBe("Failed jobs · Windlass");
});

test("rows show status, preview and the action that their state allows", async () => {
  serve({
    ...stats(3),
    "GET /v1/jobs": () =>
      list(
        aSummary({ id: "3", status: "failed", error_preview: "ConnectTimeout" }),
        aSummary({ id: "2", status: "running", cancel_requested_at: "2026-11-20T12:00:00Z" }),
        aSummary({ id: "1", status: "scheduled", type: "report.build" }),
      ),
  });
  renderPage(<JobsPage />, "/jobs");
  const [, failed, stopping, scheduled] = await screen.findAllByRole("row");
  expect(failed?.textContent).toContain("ConnectTimeout");
  expect(within(failed as HTMLElement).getByRole("button", { name: "Retry mock" })).toBeDefined();
  expect(stopping?.textContent).toContain("stopping");
  expect(within(stopping as HTMLElement).queryByRole("button")).toBeNull();
  expect(
    within(scheduled as HTMLElement).getByRole("button", { name: "Cancel report.build" }),
  ).toBeDefined();
});

test("a cancel that comes too late is told in the server's words", async () => {
  serve({
    ...stats(1),
    "GET /v1/jobs": () => list(aSummary({ id: "1" })),
    "POST /v1/jobs/1/cancel": () => ({
      status: 409,
      body: refused("INVALID_STATE", "The job has finished: there is nothing to cancel."),
    }),
  });
  renderPage(<JobsPage />, "/jobs");
  await userEvent.click(await screen.findByRole("button", { name: "Cancel mock" }));
  expect(await within(screen.getByRole("status")).findByText(/nothing to cancel/)).toBeDefined();
});

test("every total leads to the jobs that it counts", async () => {
  serve({ ...stats(1204), "GET /v1/jobs": () => list(aSummary()) });
  renderPage(<JobsPage />, "/jobs");
  const tile = await screen.findByRole("link", { name: "queued 1,204" });
  expect(tile.getAttribute("href")).toBe("/jobs?status=queued");
});
