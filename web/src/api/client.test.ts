import { beforeEach, expect, test } from "vitest";
import { aSession } from "../testing/factories";
import { refused, serve } from "../testing/server";
import { answer, client, session } from "./client";
import { submitJob } from "./queries";

const LOGIN = { "POST /v1/login": () => ({ body: { data: aSession() } }) };

beforeEach(async () => {
  serve(LOGIN);
  await session.signIn("/v1/login", "ada@example.com", "secret-secret");
});

test("a refused token is renewed once and the request sent again, body and all", async () => {
  const seen = serve({
    "POST /v1/token/refresh": () => ({ body: { data: aSession({ access_token: "fresh" }) } }),
    "POST /v1/jobs": ({ headers }) =>
      headers.get("Authorization") === "Bearer fresh"
        ? { status: 201, body: { data: { id: "7" } } }
        : { status: 401, body: refused("UNAUTHENTICATED", "the token has ended") },
  });
  await submitJob({ type: "mock" }, '{"n": 1.10}');
  const bodies = seen.filter(({ route }) => route === "POST /v1/jobs").map(({ body }) => body);
  expect(bodies).toEqual(Array(2).fill('{"type":"mock","payload":{"n": 1.10}}'));
});

test("a refusal becomes an error with its code, details and request", async () => {
  serve({
    "GET /v1/stats": () => ({ status: 400, body: refused("VALIDATION_ERROR", "bad cursor") }),
  });
  await expect(answer(client.GET("/v1/stats"))).rejects.toMatchObject({
    status: 400,
    code: "VALIDATION_ERROR",
    message: "bad cursor",
    requestId: "req-1",
  });
});

test("an answer that is not ours still makes a sentence", async () => {
  serve({ "GET /v1/stats": () => ({ status: 502, body: "<h1>Bad gateway</h1>" }) });
  await expect(answer(client.GET("/v1/stats"))).rejects.toMatchObject({
    message: "The server answered 502. Try again in a moment.",
    passing: true,
  });
});
