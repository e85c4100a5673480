import { beforeEach, expect, test, vi } from "vitest";
import { aSummary } from "../testing/factories";
import { type Notice, Notices } from "./notices";

let told: Notice[];
let notices: Notices;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  notices = new Notices((notice) => told.push(notice));
});

const done = (count: number, status: "succeeded" | "failed") =>
  Array.from({ length: count }, () => aSummary({ status }));

test("a single job is told at once, by name", () => {
  notices.take([aSummary({ id: "7", status: "failed", error_preview: "ConnectTimeout" })]);
  expect(told).toEqual([
    { tone: "bad", text: "mock failed", detail: "ConnectTimeout", href: "/jobs/7" },
  ]);
});

test("what follows within five seconds is told as one sum", () => {
  notices.take(done(1, "succeeded"));
  for (let batch = 0; batch < 4; batch += 1) {
    vi.advanceTimersByTime(1000);
    notices.take([...done(250, "succeeded"), ...done(1, "failed")]);
  }
  expect(told).toHaveLength(1);
  vi.advanceTimersByTime(1000);
  expect(told.map(({ text }) => text)).toEqual(["mock succeeded", "1000 jobs succeeded, 4 failed"]);
});

test("a quiet spell makes the next one immediate again", () => {
  notices.take(done(1, "succeeded"));
  vi.advanceTimersByTime(5000);
  notices.take(done(2, "succeeded"));
  expect(told.map(({ text }) => text)).toEqual(["mock succeeded", "2 jobs succeeded"]);
});

test("states on the way are not told", () => {
  notices.take([aSummary({ status: "running" }), aSummary({ status: "canceled" })]);
  expect(told).toEqual([]);
});
