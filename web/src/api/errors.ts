export interface ErrorDetail {
  field: string;
  message: string;
}

/** A request that was refused or never arrived. `status` 0 means that no answer came. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: readonly ErrorDetail[];
  readonly requestId: string | null;
  /** Seconds the server asks to wait. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { details?: ErrorDetail[]; requestId?: string | null; retryAfter?: number | null } = {},
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = more.details ?? [];
    this.requestId = more.requestId ?? null;
    this.retryAfter = more.retryAfter ?? null;
  }

  /** Whether the same request may succeed later without a change. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function unreachable(): ApiError {
  return new ApiError(0, "UNREACHABLE", "The server does not answer. Check that it is running.");
}

/** Reads the error envelope; an answer that has none (a proxy's page, say) still gets a sentence. */
export function refusal(response: Response, body: unknown): ApiError {
  const envelope = isEnvelope(body) ? body.error : undefined;
  return new ApiError(
    response.status,
    envelope?.code ?? "UNKNOWN",
    envelope?.message ?? `The server answered ${response.status}. Try again in a moment.`,
    {
      details: envelope?.details ?? [],
      requestId: envelope?.request_id ?? response.headers.get("X-Request-Id"),
      retryAfter: Number(response.headers.get("Retry-After")) || null,
    },
  );
}

interface Envelope {
  error: { code: string; message: string; details?: ErrorDetail[]; request_id?: string };
}

function isEnvelope(body: unknown): body is Envelope {
  return typeof body === "object" && body !== null && "error" in body;
}
