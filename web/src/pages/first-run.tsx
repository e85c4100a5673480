import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { Link } from "wouter";
import { session } from "../api/client";
import { submissionText } from "../api/lossless";
import { keys, submitJob } from "../api/queries";
import { submitCommand, tokenCommand } from "../lib/curl";
import { CopyButton } from "../ui/copy";
import { Problem } from "../ui/states";
import { useStore } from "../ui/use-store";

const TYPE = "mock";
const PAYLOAD = '{"sleep_ms": 3000}';

/** Shown until there is a first job: one click runs a sample, one command does the same from a shell. */
export function FirstRun() {
  const cache = useQueryClient();
  const sample = useMutation({
    mutationFn: () => submitJob({ type: TYPE }, PAYLOAD),
    onSuccess: () => cache.invalidateQueries({ queryKey: keys.lists }),
  });
  return (
    <section className="card first-run" aria-label="Your first job">
      <div className="first-run-now">
        <h2>Run your first job</h2>
        <p>
          The sample sleeps for three seconds and succeeds. Watch it go from queued to running to
          succeeded, right here.
        </p>
        <button
          type="button"
          className="button primary"
          disabled={sample.isPending}
          onClick={() => sample.mutate()}
        >
          <Play aria-hidden size={16} />
          Run a sample job
        </button>
        {sample.error && <Problem error={sample.error} />}
        <p className="quiet">
          Or <Link href="/jobs/new">write your own</Link>.
        </p>
      </div>
      <FromShell />
    </section>
  );
}

function FromShell() {
  const state = useStore(session.state);
  const email = state.kind === "signed-in" ? state.user.email : "you@example.com";
  return (
    <div className="first-run-shell">
      <h2>From your own code</h2>
      <p>Get a token, then submit. Any language that speaks HTTP will do.</p>
      <Command text={tokenCommand(location.origin, email)} label="Copy the token command" />
      <Command
        text={submitCommand(location.origin, submissionText({ type: TYPE }, PAYLOAD))}
        label="Copy the submit command"
      />
    </div>
  );
}

/** A command to paste, with its copy button. */
export function Command({ text, label }: { text: string; label: string }) {
  return (
    <div className="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reachable by keyboard */}
      <pre className="code" tabIndex={0}>
        {text}
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}
