import { vi } from "vitest";

export interface Seen {
  route: string;
  headers: Headers;
  body: string;
}

type Answer = { status?: number; body?: unknown };
type Handler = (request: Seen, earlier: number) => Answer | Promise<Answer>;

/**
 * Stands in for the network: `routes` maps "METHOD /path" to an answer. Gives the list of what was asked,
 * in order. A body that is a string is sent as it is.
 */
export function serve(routes: Record<string, Handler>): Seen[] {
  const seen: Seen[] = [];
  vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
    const request =
      input instanceof Request ? input : new Request(new URL(String(input), location.origin), init);
    const route = `${request.method} ${new URL(request.url).pathname}`;
    const asked = { route, headers: request.headers, body: await request.text() };
    const earlier = seen.filter((other) => other.route === route).length;
    seen.push(asked);
    const answer = await (routes[route] ?? missing)(asked, earlier);
    return response(answer);
  });
  return seen;
}

function missing(request: Seen): Answer {
  return { status: 404, body: refused("NOT_FOUND", `no answer for ${request.route}`) };
}

export function refused(code: string, message: string) {
  return { error: { code, message, details: [], request_id: "req-1" } };
}

function response({ status = 200, body }: Answer): Response {
  if (status === 204) return new Response(null, { status });
  return new Response(typeof body === "string" ? body : JSON.stringify(body), { status });
}
