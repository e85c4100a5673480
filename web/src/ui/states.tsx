import { CircleAlert } from "lucide-react";
import { Component, type ReactNode } from "react";
import { ApiError } from "../api/errors";

/** What went wrong and what to do next, with the request's id for whoever is asked for help. */
export function Problem({ error, retry }: { error: Error; retry?: () => void }) {
  const known = error instanceof ApiError ? error : null;
  // A single detail usually is the message itself.
  const details = known?.details.filter(({ message }) => !error.message.endsWith(message)) ?? [];
  return (
    <div className="problem" role="alert">
      <CircleAlert aria-hidden size={18} />
      <div>
        <p>{known ? known.message : "Something went wrong on this page."}</p>
        {details.length > 0 && (
          <ul>
            {details.map(({ field, message }) => (
              <li key={field + message}>
                <code>{field}</code> {message}
              </li>
            ))}
          </ul>
        )}
        {known?.requestId && <p className="quiet">Request {known.requestId}</p>}
      </div>
      {retry && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Grey lines of the right height; they appear only when an answer takes longer than a blink. */
export function Skeleton({ lines }: { lines: number }) {
  return (
    <div className="skeleton" aria-busy="true">
      <span className="visually-hidden">Loading</span>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: identical lines have nothing else
        <div key={line} />
      ))}
    </div>
  );
}

/** A page that fails to render leaves the shell around it standing. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return <Problem error={error} retry={() => location.reload()} />;
  }
}
