import { expect, test } from "vitest";
import { fieldsOf, templateOf } from "./schema";

const HTTP = {
  $ref: "#/$defs/HttpInput",
  $defs: {
    Method: { enum: ["GET", "POST"] },
    HttpInput: {
      type: "object",
      properties: {
        url: { type: "string", description: "Where to." },
        method: { $ref: "#/$defs/Method", default: "POST" },
        body: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
      },
      required: ["url"],
    },
  },
};

test("fields are read through references and unions", () => {
  expect(fieldsOf(HTTP)).toEqual([
    { name: "url", kind: "string", required: true, description: "Where to." },
    { name: "method", kind: '"GET" or "POST"', required: false, fallback: '"POST"' },
    { name: "body", kind: "string or null", required: false, fallback: "null" },
  ]);
});

test("a template has the required fields", () => {
  expect(JSON.parse(templateOf(HTTP))).toEqual({ url: "" });
});

test("a schema that allows anything starts empty", () => {
  expect(templateOf({ type: "object" })).toBe("{}");
});
