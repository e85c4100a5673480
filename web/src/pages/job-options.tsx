import { ChevronRight } from "lucide-react";
import type { Submission } from "../api/types";
import { Field } from "../ui/field";

export type SubmissionOptions = Omit<Submission, "type" | "payload">;

/** The fields of a submission that have good defaults. Left empty, they are left out. */
export function MoreOptions() {
  return (
    <details className="more">
      <summary>
        <ChevronRight aria-hidden size={15} />
        More options
      </summary>
      <div className="more-grid">
        <Field label="Queue">
          {(control) => <input {...control} name="queue" placeholder="default" maxLength={100} />}
        </Field>
        <Field label="Priority">
          {(control) => (
            <select {...control} name="priority" defaultValue="">
              <option value="high">high</option>
              <option value="">medium</option>
              <option value="low">low</option>
            </select>
          )}
        </Field>
        <Field label="Not before">
          {(control) => <input {...control} name="run_at" type="datetime-local" />}
        </Field>
        <Field label="Most attempts">
          {(control) => (
            <input
              {...control}
              name="max_attempts"
              type="number"
              min={1}
              max={100}
              placeholder="3"
            />
          )}
        </Field>
        <Field label="Tags">
          {(control) => <input {...control} name="tags" placeholder="eu, nightly" />}
        </Field>
        <Field label="Idempotency key">
          {(control) => <input {...control} name="idempotency_key" maxLength={200} />}
        </Field>
      </div>
    </details>
  );
}

/** What the form says beyond type and payload. */
export function readOptions(form: HTMLFormElement): SubmissionOptions {
  const data = new FormData(form);
  const text = (name: string) => String(data.get(name) ?? "").trim();
  const tags = text("tags")
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
  const priority = text("priority");
  return {
    ...(text("queue") && { queue: text("queue") }),
    ...((priority === "high" || priority === "low") && { priority }),
    ...(text("run_at") && { run_at: new Date(text("run_at")).toISOString() }),
    ...(text("max_attempts") && { max_attempts: Number(text("max_attempts")) }),
    ...(tags.length > 0 && { tags }),
    ...(text("idempotency_key") && { idempotency_key: text("idempotency_key") }),
  };
}
