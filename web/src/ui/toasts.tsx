import { CircleCheck, CircleX, Info, X } from "lucide-react";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { dismiss, type Toast, toasts } from "./toast-store";
import { useStore } from "./use-store";

const SHOWN_MS = 6000;
const ICONS = { good: CircleCheck, bad: CircleX, plain: Info };

/** The page's one polite live region: always there, so that screen readers hear what enters it. */
export function Toasts() {
  return (
    <div className="toasts" role="status">
      {useStore(toasts).map((toast) => (
        <Card key={toast.id} toast={toast} />
      ))}
    </div>
  );
}

/** Goes by itself, but never while it is hovered or holds the focus; bad news stays until dismissed. */
function Card({ toast }: { toast: Toast }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held || toast.tone === "bad") return;
    const timer = setTimeout(() => dismiss(toast.id), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [held, toast]);
  const Icon = ICONS[toast.tone];
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: hovering only stops the clock
    <div
      className="toast"
      data-tone={toast.tone}
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <Icon aria-hidden size={18} />
      <div className="toast-text">
        <p>
          {toast.href ? <Link href={toast.href}>{toast.text}</Link> : toast.text}
          {toast.times > 1 && <span className="quiet"> ×{toast.times}</span>}
        </p>
        {toast.detail && <p className="quiet">{toast.detail}</p>}
      </div>
      <button
        type="button"
        className="icon-button"
        aria-label="Dismiss"
        onClick={() => dismiss(toast.id)}
      >
        <X aria-hidden size={15} />
      </button>
    </div>
  );
}
