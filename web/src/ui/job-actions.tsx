import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleStop, type LucideIcon, RotateCcw } from "lucide-react";
import { ApiError } from "../api/errors";
import { cancelJob, keys, retryJob } from "../api/queries";
import type { Job } from "../api/types";
import { toast } from "./toast-store";

type Acted = Pick<Job, "id" | "type" | "status" | "cancel_requested_at">;

/** Cancel or retry, whichever the job's state allows; `compact` is for a row of the list. */
export function JobActions({ job, compact = false }: { job: Acted; compact?: boolean }) {
  const cancel = useAction(cancelJob, (done) =>
    done.status === "canceled" ? `${job.type} canceled` : `${job.type} was asked to stop`,
  );
  const retry = useAction(retryJob, () => `${job.type} is queued again`);
  const shared = { job, compact };
  if (job.status === "failed" || job.status === "canceled") {
    return <Action {...shared} name="Retry" icon={RotateCcw} action={retry} />;
  }
  if (job.status === "succeeded" || job.cancel_requested_at) return null;
  return <Action {...shared} name="Cancel" icon={CircleStop} action={cancel} />;
}

/** Runs an action on a job; a refusal is told, and either way what is on screen is read again. */
function useAction(run: (id: string) => Promise<Job>, said: (job: Job) => string) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: (job) => {
      cache.setQueryData(keys.job(job.id), job);
      toast({ tone: "plain", text: said(job) });
    },
    onError: (error) =>
      toast({
        tone: "bad",
        text: error.message,
        ...(error instanceof ApiError &&
          error.requestId && { detail: `Request ${error.requestId}` }),
      }),
    onSettled: (_job, _error, id) =>
      Promise.all([
        cache.invalidateQueries({ queryKey: keys.lists }),
        cache.invalidateQueries({ queryKey: keys.job(id) }),
        cache.invalidateQueries({ queryKey: keys.stats }),
      ]),
  });
}

interface ActionProps {
  name: string;
  icon: LucideIcon;
  job: Acted;
  compact: boolean;
  action: ReturnType<typeof useAction>;
}

function Action({ name, icon: Icon, job, compact, action }: ActionProps) {
  return (
    <button
      type="button"
      className={compact ? "icon-button" : "button"}
      aria-label={compact ? `${name} ${job.type}` : undefined}
      title={compact ? name : undefined}
      disabled={action.isPending}
      onClick={() => action.mutate(job.id)}
    >
      <Icon aria-hidden size={15} />
      {!compact && name}
    </button>
  );
}
