import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { submitCommand, tokenCommand } from "./curl";

/** Runs a command with a `curl` that prints its arguments, one a line. */
function asShellSees(command: string): string[] {
  const script = `curl() { printf '%s\\n' "$@"; }; TOKEN=secret; ${command}`;
  return execFileSync("sh", ["-c", script], { encoding: "utf8" }).trimEnd().split("\n");
}

test("a payload with quotes reaches the server as typed", () => {
  const body = `{"type":"mock","payload":{"text":"it's $HOME"}}`;
  expect(asShellSees(submitCommand("http://localhost:8080", body))).toEqual([
    "http://localhost:8080/v1/jobs",
    "-H",
    "Authorization: Bearer secret",
    "-H",
    "Content-Type: application/json",
    "-d",
    body,
  ]);
});

test("the token command leaves the access token in TOKEN", () => {
  const answer = `curl() { echo '{"data":{"access_token":"abc.def","expires_in":900}}'; }`;
  const script = `${answer}; ${tokenCommand("http://localhost", "o'neil@example.com")}; echo "$TOKEN"`;
  expect(execFileSync("sh", ["-c", script], { encoding: "utf8" })).toBe("abc.def\n");
});
