import { Field } from "../ui/field";

/** Why a text cannot be a payload, or null. */
export function payloadFault(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? null : 'The payload has to be a JSON object, such as {"name": "value"}.';
  } catch (error) {
    return `Not JSON yet: ${error instanceof Error ? error.message : "unreadable"}`;
  }
}

interface PayloadFieldProps {
  value: string;
  change: (text: string) => void;
}

/** Sent exactly as typed, so nothing here reformats it. */
export function PayloadField({ value, change }: PayloadFieldProps) {
  const fault = payloadFault(value);
  const hint = fault ?? "A JSON object. It is sent exactly as typed.";
  return (
    <Field label="Payload" hint={hint} bad={fault !== null}>
      {(control) => (
        <textarea
          {...control}
          className="code"
          rows={9}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          value={value}
          onChange={({ target }) => change(target.value)}
          aria-invalid={fault !== null}
        />
      )}
    </Field>
  );
}
