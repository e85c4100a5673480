import { expect, test } from "vitest";
import { aSummary } from "../testing/factories";
import { ago, count, duration, limit, moment, plural } from "./format";

const NOW = Date.parse("2026-11-20T12:00:00Z");
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

test.each([
  [0, "now"],
  [-40, "40 sec. ago"],
  [-150, "2 min. ago"],
  [4 * 60, "in 4 min."],
  [5 * 3600 - 40, "in 5 hr."],
  [-5 * 3600, "5 hr. ago"],
  [-49 * 3600, "2 days ago"],
])("%d seconds away reads %s", (seconds, text) => {
  expect(ago(NOW + seconds * 1000, NOW)).toBe(text);
});

test.each([
  [0, "0 ms"],
  [-5, "0 ms"],
  [850, "850 ms"],
  [1250, "1.2 s"],
  [9999, "9.9 s"],
  [42_000, "42 s"],
  [63_000, "1:03 min"],
  [7_500_000, "2:05 h"],
  [273_600_000, "3 d 4 h"],
])("a duration of %d ms reads %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test.each([
  [2000, "2 s"],
  [900_000, "15 min"],
  [1500, "1,500 ms"],
  [86_400_000, "1 d"],
])("a limit of %d ms reads %s", (ms, text) => {
  expect(limit(ms)).toBe(text);
});

test("counts are exact while they are short", () => {
  expect([count(1204), count(37_204), count(1_200_000)]).toEqual(["1,204", "37.2K", "1.2M"]);
  expect([plural(1, "job"), plural(1204, "job")]).toEqual(["1 job", "1,204 jobs"]);
});

test.each([
  ["a first start ahead", { status: "scheduled", run_at: at(240) }, "starts in 4 min."],
  ["a retry ahead", { status: "scheduled", attempts: 1, run_at: at(4) }, "retries in 4 sec."],
  ["a due start", { status: "scheduled", run_at: at(-3) }, "starts now"],
  ["a wait from its due time", { status: "queued", run_at: at(-12) }, "waiting 12 s"],
  ["the handler's start", { status: "running", started_at: at(-63) }, "running 1:03 min"],
  [
    "a claim whose handler has not started",
    { status: "running", updated_at: at(-2) },
    "running 2.0 s",
  ],
  [
    "a finish with its length",
    { status: "succeeded", started_at: at(-61.2), finished_at: at(-60) },
    "1 min. ago, took 1.2 s",
  ],
  ["a cancel before any start", { status: "canceled", finished_at: at(-60) }, "1 min. ago"],
] as const)("the moment shown is %s", (_name, fields, text) => {
  expect(moment(aSummary(fields), NOW).text).toBe(text);
});
