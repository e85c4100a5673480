/** Calls at once, then at most once per gap; a call inside the gap is made up for at its end. */
export function throttle(action: () => void, gapMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  const open = () => {
    timer = undefined;
    if (again) call();
  };
  const call = () => {
    if (timer !== undefined) {
      again = true;
      return;
    }
    again = false;
    timer = setTimeout(open, gapMs);
    action();
  };
  return call;
}
