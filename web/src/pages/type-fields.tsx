import { useState } from "react";
import type { JobType } from "../api/types";
import { fieldsOf } from "../lib/schema";
import { Field } from "../ui/field";

interface TypeFieldProps {
  types: readonly JobType[];
  value: string;
  change: (type: string) => void;
}

/** The installed types, or any other by name: such a job waits until a worker knows it. */
export function TypeField({ types, value, change }: TypeFieldProps) {
  const [other, setOther] = useState(types.length === 0);
  const choose = (name: string) => {
    setOther(name === "");
    change(name);
  };
  return (
    <>
      <Field label="Type">
        {(control) => (
          <select
            {...control}
            value={other ? "" : value}
            onChange={({ target }) => choose(target.value)}
          >
            {types.map(({ type }) => (
              <option key={type}>{type}</option>
            ))}
            <option value="">Another…</option>
          </select>
        )}
      </Field>
      {other && (
        <Field
          label="Name of the other one"
          hint="No worker here runs it yet; the job waits until one does."
        >
          {(control) => (
            <input
              {...control}
              value={value}
              onChange={({ target }) => change(target.value)}
              required
              maxLength={200}
            />
          )}
        </Field>
      )}
    </>
  );
}

/** What a type takes, read from the schema that the server validates with. */
export function TypeFields({ type }: { type: JobType | undefined }) {
  if (!type) return null;
  const fields = fieldsOf(type.schema);
  return (
    <section className="card" aria-label={`Fields of ${type.type}`}>
      <header className="card-head">
        <h2>
          Fields of <code>{type.type}</code>
        </h2>
      </header>
      {type.description && <p className="note">{type.description}</p>}
      {fields.length === 0 ? (
        <p className="note">Takes any object.</p>
      ) : (
        <dl className="pairs schema">
          {fields.map((field) => (
            <div key={field.name}>
              <dt>
                <code>{field.name}</code> <span className="quiet">{field.kind}</span>
                {field.required && <span className="tag">required</span>}
              </dt>
              {field.description && <dd>{field.description}</dd>}
              {field.fallback && (
                <dd>
                  Default <code>{field.fallback}</code>
                </dd>
              )}
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
