/** A number kept as the text it was sent as; `JSON.stringify` writes that text back. */
interface RawNumber {
  readonly rawJSON: string;
}

// Part of the language since ES2026 and in current browsers; TypeScript's library does not know it yet.
declare global {
  interface JSON {
    rawJSON?(text: string): RawNumber;
  }
}

/** Without it large numbers are rounded on display, and the page says so. */
export const keepsDigits = typeof JSON.rawJSON === "function";

/** Parses JSON without losing a digit: `1.10` and integers above 2^53 survive a round trip. */
export function parseLossless(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || String(value) === source) return value;
    return JSON.rawJSON?.(source) ?? value;
  });
}

export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}

/**
 * A submission's body with the payload exactly as it was typed: it is joined as text, so no number,
 * key order or escape passes through a JavaScript value.
 */
export function submissionText(fields: object, payload: string): string {
  const rest = JSON.stringify(fields);
  return `${rest.slice(0, -1)}${rest === "{}" ? "" : ","}"payload":${payload.trim()}}`;
}
