import { seconds } from "../lib/clock";
import type { LiveState } from "../live/live";
import { live } from "../wiring";
import { useStore } from "./use-store";

/** Whether the page is fed live, in words and by shape as well as by colour. */
export function LiveLight() {
  const state = useStore(live.state);
  useStore(seconds);
  const { text, look } = describe(state, Date.now());
  return (
    <span className="light" data-look={look} title={title(state)}>
      <span aria-hidden className="light-dot" />
      <span className="visually-hidden">Live updates: </span>
      {text}
    </span>
  );
}

function describe(state: LiveState, now: number): { text: string; look: "on" | "busy" | "off" } {
  switch (state.kind) {
    case "live":
      return { text: "Live", look: "on" };
    case "off":
    case "connecting":
      return { text: "Connecting", look: "busy" };
    case "waiting": {
      const left = Math.max(0, Math.ceil((state.retryAt - now) / 1000));
      return { text: `${state.polling ? "Polling" : "Reconnecting"} (${left} s)`, look: "off" };
    }
    case "asleep":
      return { text: "Paused", look: "off" };
    case "stopped":
      return { text: "Stopped", look: "off" };
  }
}

function title(state: LiveState): string {
  switch (state.kind) {
    case "live":
      return "Changes appear as they happen";
    case "waiting":
      return state.polling
        ? "The live connection is down: this page reads its data every 10 s"
        : "The live connection was lost and is being restored";
    case "stopped":
      return `${state.reason} Reload the page to try again.`;
    default:
      return "The live connection is being made";
  }
}
