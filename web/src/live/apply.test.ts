import { expect, test } from "vitest";
import { aJob, aSummary } from "../testing/factories";
import { type JobPage, mergeJob, mergeJobs, type PageRule } from "./apply";

const FIRST: PageRule = { status: null, cursor: null, mayEnter: true };

function aPage(...ids: string[]): JobPage {
  return { rows: ids.map((id) => aSummary({ id })), next: null, unseen: [] };
}

const ids = (page: JobPage) => page.rows.map(({ id }) => id);

test("a row changes in place", () => {
  const page = mergeJobs(
    aPage("c", "b", "a"),
    [aSummary({ id: "b", status: "running", version: 2 })],
    FIRST,
  );
  expect(ids(page)).toEqual(["c", "b", "a"]);
  expect(page.rows[1]?.status).toBe("running");
});

test("an event older than the row is dropped", () => {
  const page = { ...aPage(), rows: [aSummary({ id: "a", status: "succeeded", version: 5 })] };
  const late = aSummary({ id: "a", status: "running", version: 4 });
  expect(mergeJobs(page, [late], FIRST).rows[0]?.status).toBe("succeeded");
});

test("a new job enters the unfiltered first page on top", () => {
  expect(ids(mergeJobs(aPage("b", "a"), [aSummary({ id: "c" })], FIRST))).toEqual(["c", "b", "a"]);
});

test("a new job waits behind the counter while the hand is on the list", () => {
  const page = mergeJobs(aPage("a"), [aSummary({ id: "b" })], { ...FIRST, mayEnter: false });
  expect(ids(page)).toEqual(["a"]);
  expect(page.unseen).toEqual(["b"]);
});

test("many new jobs wait behind the counter, and are counted once each", () => {
  const many = ["b", "c", "d", "e"].map((id) => aSummary({ id }));
  const page = mergeJobs(mergeJobs(aPage("a"), many, FIRST), many, FIRST);
  expect(ids(page)).toEqual(["a"]);
  expect(page.unseen).toEqual(["b", "c", "d", "e"]);
});

test("the counter stops under a flood", () => {
  const flood = Array.from({ length: 1500 }, (_, n) => aSummary({ id: `b${n}` }));
  expect(mergeJobs(aPage("a"), flood, FIRST).unseen).toHaveLength(1000);
});

test("a change of an older job that is not on the page is not news", () => {
  const page = mergeJobs(aPage("c", "b"), [aSummary({ id: "a", version: 9 })], FIRST);
  expect([ids(page), page.unseen]).toEqual([["c", "b"], []]);
});

test("a filtered page keeps a row that left its status and counts one that came to it", () => {
  const rule: PageRule = { ...FIRST, status: "queued" };
  const events = [
    aSummary({ id: "a", status: "running", version: 2 }),
    aSummary({ id: "z", status: "queued" }),
    aSummary({ id: "y", status: "failed" }),
  ];
  const page = mergeJobs(aPage("a"), events, rule);
  expect(page.rows.map(({ id, status }) => [id, status])).toEqual([["a", "running"]]);
  expect(page.unseen).toEqual(["z"]);
});

test("an older page takes nothing new", () => {
  const page = mergeJobs(aPage("a"), [aSummary({ id: "b" })], { ...FIRST, cursor: "older" });
  expect([ids(page), page.unseen]).toEqual([["a"], []]);
});

test("an open job takes the event's fields and keeps its payload", () => {
  const job = aJob({ payload: { n: 1 } });
  const event = aSummary({ status: "running", version: 2 });
  expect(mergeJob(job, event)).toMatchObject({ status: "running", payload: { n: 1 } });
  expect(mergeJob(aJob({ version: 3, status: "failed" }), event).status).toBe("failed");
});
