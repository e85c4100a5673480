import { expect, test } from "vitest";
import { parseLossless, pretty, submissionText } from "./lossless";

test("numbers keep every digit through parsing and printing", () => {
  const text = '{"id":12345678901234567890123,"price":1.10,"tiny":1e-400,"zero":-0,"plain":42}';
  expect(JSON.stringify(parseLossless(text))).toBe(text);
});

test("numbers that JavaScript holds exactly stay numbers", () => {
  expect(parseLossless('{"version":7,"share":0.5}')).toEqual({ version: 7, share: 0.5 });
});

test("a string that looks like a number stays a string", () => {
  expect(parseLossless('["1.10"]')).toEqual(["1.10"]);
});

test("pretty printing shows the digits as sent", () => {
  expect(pretty(parseLossless('{"n":1.10}'))).toBe('{\n  "n": 1.10\n}');
});

test("a submission carries the payload's text untouched", () => {
  const payload = ' {"b": 1.10, "1": 12345678901234567890123}\n';
  expect(submissionText({ type: "mock" }, payload)).toBe(
    '{"type":"mock","payload":{"b": 1.10, "1": 12345678901234567890123}}',
  );
});

test("a submission without other fields is whole JSON too", () => {
  expect(JSON.parse(submissionText({}, "{}"))).toEqual({ payload: {} });
});
