import createClient from "openapi-fetch";
import { learnServerTime } from "../lib/clock";
import { refusal, unreachable } from "./errors";
import type { paths } from "./schema";
import { SessionKeeper } from "./session";

/** `navigator.locks` is there on https and on loopback only; elsewhere the server's grace has to do. */
function locked(work: () => Promise<string | null>): Promise<string | null> {
  return navigator.locks ? navigator.locks.request("windlass-refresh", work) : work();
}

export const session = new SessionKeeper({
  fetch: (input, init) => globalThis.fetch(input, init),
  lock: locked,
  channel: new BroadcastChannel("windlass-session"),
  storage: localStorage,
  visible: () => document.visibilityState === "visible",
});

async function send(request: Request, token: string | null): Promise<Response> {
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  const response = await globalThis.fetch(request).catch((reason: unknown) => {
    if (request.signal.aborted) throw reason;
    throw unreachable();
  });
  learnServerTime(response.headers.get("Date"));
  return response;
}

/** Sends with the access token; a refused token is renewed once and the request sent again. */
async function authorized(request: Request): Promise<Response> {
  const replay = request.clone();
  const token = await session.token();
  const response = await send(request, token);
  if (response.status !== 401) return response;
  const fresh = await session.renew(token);
  return fresh ? send(replay, fresh) : response;
}

export const client = createClient<paths>({
  baseUrl: location.origin,
  fetch: authorized,
  querySerializer: { array: { style: "form", explode: false } },
});

/** The answer's body, or its refusal as an `ApiError`. */
export async function answer<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw refusal(response, error);
  return data as T;
}
