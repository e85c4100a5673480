import { createStore } from "../lib/store";

export interface Toast {
  id: number;
  tone: "good" | "bad" | "plain";
  text: string;
  detail?: string;
  href?: string;
  /** How often the same thing was said. */
  times: number;
}

const SHOWN = 3;

export const toasts = createStore<readonly Toast[]>([]);
let lastId = 0;

/** Shows a toast; an equal one on screen is counted up instead. */
export function toast(said: Omit<Toast, "id" | "times">): void {
  const others = toasts.get().filter((known) => !same(known, said));
  const equal = toasts.get().find((known) => same(known, said));
  lastId += 1;
  toasts.set([...others, { ...said, id: lastId, times: (equal?.times ?? 0) + 1 }].slice(-SHOWN));
}

export function dismiss(id: number): void {
  toasts.set(toasts.get().filter((known) => known.id !== id));
}

function same(known: Toast, said: Omit<Toast, "id" | "times">): boolean {
  return known.text === said.text && known.href === said.href && known.detail === said.detail;
}
