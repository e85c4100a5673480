import { fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { renderPage } from "../testing/render";
import { serve } from "../testing/server";
import { NewJobPage } from "./new-job";

const TYPES = [
  { type: "mock", description: "Sleeps.", schema: { type: "object", properties: {} } },
  {
    type: "http",
    description: "Calls a URL.",
    schema: {
      type: "object",
      properties: { url: { type: "string", description: "Where to." } },
      required: ["url"],
    },
  },
];

function open(job: (body: string) => object = () => ({ id: "7", deduplicated: false })) {
  const seen = serve({
    "GET /v1/job-types": () => ({ body: { data: TYPES } }),
    "POST /v1/jobs": ({ body }) => ({ status: 201, body: { data: job(body) } }),
  });
  renderPage(<NewJobPage />, "/jobs/new");
  return { submitted: () => seen.filter(({ route }) => route === "POST /v1/jobs") };
}

test("the payload is submitted as typed, and its page opens", async () => {
  const { submitted } = open();
  const text = '{"id": 12345678901234567890123, "price": 1.10}';
  fireEvent.change(await screen.findByLabelText("Payload"), { target: { value: text } });
  await userEvent.click(screen.getByRole("button", { name: "Submit" }));
  await waitFor(() => expect(location.pathname).toBe("/jobs/7"));
  expect(submitted()[0]?.body).toBe(`{"type":"mock","payload":${text}}`);
});

test("choosing a type shows its fields and starts its payload", async () => {
  open();
  await userEvent.selectOptions(await screen.findByLabelText("Type"), "http");
  expect(screen.getByRole("region", { name: "Fields of http" }).textContent).toContain("Where to.");
  expect(screen.getByLabelText("Payload")).toHaveProperty("value", '{\n  "url": ""\n}');
});

test("a payload that was typed survives a look at another type", async () => {
  open();
  fireEvent.change(await screen.findByLabelText("Payload"), { target: { value: '{"mine": 1}' } });
  await userEvent.selectOptions(screen.getByLabelText("Type"), "http");
  expect(screen.getByLabelText("Payload")).toHaveProperty("value", '{"mine": 1}');
});

test("a type that is not installed can be named", async () => {
  const { submitted } = open();
  await userEvent.selectOptions(await screen.findByLabelText("Type"), "Another…");
  await userEvent.type(screen.getByLabelText("Name of the other one"), "pdf.render");
  await userEvent.click(screen.getByRole("button", { name: "Submit" }));
  await waitFor(() => expect(submitted()).toHaveLength(1));
  expect(JSON.parse(submitted()[0]?.body ?? "").type).toBe("pdf.render");
});

test("options that were filled in are sent, the others are left to the server", async () => {
  const { submitted } = open();
  await userEvent.type(await screen.findByLabelText("Tags"), "eu, nightly");
  await userEvent.selectOptions(screen.getByLabelText("Priority"), "high");
  await userEvent.click(screen.getByRole("button", { name: "Submit" }));
  await waitFor(() => expect(submitted()).toHaveLength(1));
  expect(JSON.parse(submitted()[0]?.body ?? "")).toEqual({
    type: "mock",
    priority: "high",
    tags: ["eu", "nightly"],
    payload: {},
  });
});

test.each(["{", "[1]", "7"])("%s is not sent, and the form says why", async (text) => {
  const { submitted } = open();
  const box = await screen.findByLabelText("Payload");
  fireEvent.change(box, { target: { value: text } });
  await userEvent.click(screen.getByRole("button", { name: "Submit" }));
  expect(box.getAttribute("aria-invalid")).toBe("true");
  expect(submitted()).toEqual([]);
});
