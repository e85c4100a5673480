import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { toast } from "./toast-store";

/** Copies a text. Absent where the page is not secure enough for the browser's clipboard. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  if (!navigator.clipboard) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    toast({ tone: "plain", text: "Copied" });
    setTimeout(() => setCopied(false), 1500);
  };
  const Icon = copied ? Check : Copy;
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={copy}>
      <Icon aria-hidden size={15} />
    </button>
  );
}
