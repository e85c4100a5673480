import { keepsDigits, pretty } from "../api/lossless";
import { exact } from "../lib/format";
import { CopyButton } from "./copy";

const COLOURED_UP_TO = 64 * 1024;
const SHOWN_UP_TO = 256 * 1024;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

/** A JSON value as indented text, every digit as it was sent. */
export function JsonView({ title, value }: { title: string; value: unknown }) {
  const text = pretty(value);
  return <TextView title={title} text={text} coloured={text.length <= COLOURED_UP_TO} />;
}

interface TextViewProps {
  title: string;
  text: string;
  coloured?: boolean;
  tone?: "bad";
}

/** A titled block of text that scrolls in itself and copies whole. */
export function TextView({ title, text, coloured = false, tone }: TextViewProps) {
  const shown = text.slice(0, SHOWN_UP_TO);
  return (
    <section className="card" aria-label={title} data-tone={tone}>
      <header className="card-head">
        <h2>{title}</h2>
        <CopyButton text={text} label={`Copy ${title.toLowerCase()}`} />
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reachable by keyboard */}
      <pre className="code" tabIndex={0}>
        {coloured ? colour(shown) : shown}
      </pre>
      {shown.length < text.length && (
        <p className="note">
          The first {exact(shown.length)} of {exact(text.length)} characters. Copying takes all.
        </p>
      )}
      {coloured && !keepsDigits && (
        <p className="note">
          This browser rounds very large numbers; a current one shows them all.
        </p>
      )}
    </section>
  );
}

function colour(text: string) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    const kind = string ? (colon ? "key" : "string") : "literal";
    parts.push(text.slice(end, match.index));
    parts.push(
      <span key={match.index} className={`json-${kind}`}>
        {string ?? whole}
      </span>,
      colon,
    );
    end = match.index + whole.length;
  }
  return [...parts, text.slice(end)];
}
