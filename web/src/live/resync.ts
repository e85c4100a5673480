const GAP_MS = 2_000;
const GAP_MAX_MS = 10_000;

/**
 * Reads everything again when asked, at most once in two seconds; the gap doubles up to ten seconds
 * while requests keep coming, and shrinks back after a quiet spell.
 */
export class Resync {
  readonly #reread: () => void;
  #gap = GAP_MS;
  #last = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(reread: () => void) {
    this.#reread = reread;
  }

  request(): void {
    if (this.#timer !== undefined) return;
    const quiet = Date.now() - this.#last;
    if (quiet >= GAP_MAX_MS) this.#gap = GAP_MS;
    if (quiet >= this.#gap) {
      this.#run();
      return;
    }
    this.#timer = setTimeout(() => this.#run(), this.#gap - quiet);
    this.#gap = Math.min(GAP_MAX_MS, this.#gap * 2);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #run(): void {
    this.clear();
    this.#last = Date.now();
    this.#reread();
  }
}
