import { type ReactNode, useId } from "react";

interface FieldProps {
  label: string;
  hint?: string | null;
  /** The hint says what is wrong. */
  bad?: boolean;
  /** Makes the control, which takes the id and is described by the hint. */
  children: (control: { id: string; "aria-describedby"?: string }) => ReactNode;
}

/** A label above its control and a hint below, tied together for screen readers. */
export function Field({ label, hint, bad = false, children }: FieldProps) {
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, ...(hint && { "aria-describedby": hintId }) })}
      {hint && (
        <p id={hintId} className={bad ? "hint bad" : "hint"}>
          {hint}
        </p>
      )}
    </div>
  );
}
