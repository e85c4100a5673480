import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { attemptsQuery, logQuery } from "../api/queries";
import type { LogLine } from "../api/types";
import { clock } from "../lib/format";
import { TextView } from "../ui/json-view";
import { Problem } from "../ui/states";

/** What the newest attempt has logged; nothing where it has logged nothing. */
export function JobLog({ id }: { id: string }) {
  const attempts = useInfiniteQuery(attemptsQuery(id));
  const newest = attempts.data?.at(0);
  return newest ? <LogOf id={id} attempt={newest.number} /> : null;
}

function LogOf({ id, attempt }: { id: string; attempt: number }) {
  const log = useQuery(logQuery(id, attempt));
  if (log.error) return <Problem error={log.error} retry={() => log.refetch()} />;
  if (!log.data?.length) return null;
  return <TextView title={`Log of attempt ${attempt}`} text={log.data.map(written).join("\n")} />;
}

/** The further lines of an entry stand below its first one. */
function written({ at, line }: LogLine): string {
  const time = clock(Date.parse(at));
  return `${time}  ${line.replaceAll("\n", `\n${" ".repeat(time.length + 2)}`)}`;
}
