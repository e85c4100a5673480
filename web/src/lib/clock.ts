import { createStore } from "./store";

/** The `Date` header has whole seconds, so a smaller difference says nothing. */
const NOISE_MS = 2000;

let offset = 0;

/** Takes the server's time from an answer's `Date` header, so that a wrong PC clock shows no negative waits. */
export function learnServerTime(date: string | null): void {
  if (!date) return;
  const skew = Date.parse(date) - Date.now();
  offset = Math.abs(skew) > NOISE_MS ? skew : 0;
}

/** Now, in milliseconds, by the server's clock. */
export function now(): number {
  return Date.now() + offset;
}

const tick = createStore(0);
let timer: ReturnType<typeof setInterval> | undefined;
let watchers = 0;

/** One shared timer for every elapsed time on the page; it stands still while nobody watches. */
export const seconds = {
  get: () => tick.get() || now(),
  subscribe(listener: () => void): () => void {
    const unsubscribe = tick.subscribe(listener);
    watchers += 1;
    if (watchers === 1) {
      tick.set(now());
      timer = setInterval(() => tick.set(now()), 1000);
    }
    return () => {
      unsubscribe();
      watchers -= 1;
      if (watchers === 0) clearInterval(timer);
    };
  },
};
