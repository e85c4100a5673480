import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { submissionText } from "../api/lossless";
import { jobTypesQuery, submitJob } from "../api/queries";
import type { JobType } from "../api/types";
import { submitCommand } from "../lib/curl";
import { templateOf } from "../lib/schema";
import { Page } from "../ui/page";
import { Problem, Skeleton } from "../ui/states";
import { toast } from "../ui/toast-store";
import { Command } from "./first-run";
import { MoreOptions, readOptions, type SubmissionOptions } from "./job-options";
import { PayloadField, payloadFault } from "./payload-field";
import { TypeField, TypeFields } from "./type-fields";

/** The submit form: knows the installed types, and shows the same submission as a command. */
export function NewJobPage() {
  const types = useQuery(jobTypesQuery());
  return (
    <Page title="Submit a job">
      {types.error && <Problem error={types.error} retry={() => types.refetch()} />}
      {types.isPending && <Skeleton lines={5} />}
      {types.data && <JobForm types={types.data} />}
    </Page>
  );
}

function JobForm({ types }: { types: readonly JobType[] }) {
  const [, navigate] = useLocation();
  const [type, setType] = useState(types[0]?.type ?? "");
  const [payload, setPayload] = useState(() => template(types, type));
  const [options, setOptions] = useState<SubmissionOptions>({});
  const fields = { type, ...options };
  const submit = useMutation({
    mutationFn: () => submitJob(fields, payload),
    onSuccess: (job) => {
      if (job.deduplicated) toast({ tone: "plain", text: "This job existed already" });
      navigate(`/jobs/${job.id}`);
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!payloadFault(payload)) submit.mutate();
  };
  const chooseType = (next: string) => {
    // What was typed into the payload is not thrown away by a look at another type.
    if (payload === template(types, type)) setPayload(template(types, next));
    setType(next);
  };
  return (
    <div className="submit-columns">
      <form
        className="card form"
        onSubmit={send}
        onChange={({ currentTarget }) => setOptions(readOptions(currentTarget))}
      >
        {submit.error && <Problem error={submit.error} />}
        <TypeField types={types} value={type} change={chooseType} />
        <PayloadField value={payload} change={setPayload} />
        <MoreOptions />
        <div className="form-end">
          <button type="submit" className="button primary" disabled={submit.isPending}>
            Submit
          </button>
        </div>
      </form>
      <aside className="submit-aside" aria-label="About this submission">
        <TypeFields type={types.find((known) => known.type === type)} />
        <section className="card" aria-label="As a command">
          <header className="card-head">
            <h2>As a command</h2>
          </header>
          <Command
            text={submitCommand(location.origin, submissionText(fields, payload))}
            label="Copy the command"
          />
        </section>
      </aside>
    </div>
  );
}

function template(types: readonly JobType[], name: string): string {
  const type = types.find((known) => known.type === name);
  return type ? templateOf(type.schema) : "{}";
}
