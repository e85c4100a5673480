import { expect, test } from "vitest";
import { showOnly } from "./examples";

test("examples of parameters are there to read, and not to be sent", () => {
  const status = { name: "status", example: ["failed", "canceled"] };
  const limit = { name: "limit", example: 2 };
  const cursor = { name: "cursor" };
  const list = { parameters: [status, limit, cursor] };

  const shown = showOnly({ paths: { "/v1/jobs": { get: list, post: {} } } });

  expect(shown.paths["/v1/jobs"]?.get?.parameters).toEqual([
    { name: "status", "x-example": "failed,canceled" },
    { name: "limit", "x-example": "2" },
    { name: "cursor" },
  ]);
});
