/**
 * Asks the training to stop, once. The handlers are installed when this file is imported, which must happen before
 * TensorFlow is: importing that takes a second in which an unhandled SIGTERM would end the process on the spot. A
 * handler does nothing but note the instant; the training loop looks at it between steps. Further signals change
 * nothing: the deadline was set by the first.
 */
export type StopRequest = {
  readonly signal: AbortSignal;
  /** When the first signal was heard, on the monotonic clock in milliseconds; null before. */
  readonly requestedAtMs: number | null;
  /**
   * Until when none had come: a signal waits while a step holds the thread, and nothing tells for how long it did. It
   * came between here and `requestedAtMs`. Null before.
   */
  readonly notBeforeMs: number | null;
};

const listeningEveryMs = 50;

const controller = new AbortController();
let requestedAtMs: number | null = null;
/** Whatever signal came before this has been heard. Until the handlers stand a signal ends the process on the spot. */
let heardUntilMs = performance.now();
let handOver: (() => void) | null = null;

/** The one stop request of this process. */
export const stop: StopRequest = {
  signal: controller.signal,
  get requestedAtMs() {
    return requestedAtMs;
  },
  get notBeforeMs() {
    return requestedAtMs === null ? null : heardUntilMs;
  },
};

/** From here on a signal ends the process at once by `action`: the training is over and recorded. */
export function handOverSignals(action: () => void): void {
  handOver = action;
  if (requestedAtMs !== null) action();
}

for (const name of signalsToHeed()) process.on(name, note);

// Node runs timers, then hears signals, then runs immediates: what had come when the timer ran is heard when the
// immediate does.
const listening = setInterval(() => {
  const atMs = performance.now();
  setImmediate(() => {
    if (requestedAtMs === null) heardUntilMs = atMs;
  });
}, listeningEveryMs).unref();

function note(): void {
  if (handOver !== null) handOver();
  if (requestedAtMs !== null) return;
  requestedAtMs = performance.now();
  clearInterval(listening);
  controller.abort();
}

/** Ctrl-C asks for a stop where a person sits at the terminal; in a pod only the kubelet's SIGTERM does. */
function signalsToHeed(): NodeJS.Signals[] {
  return process.env.TRAININGRUN_UID === undefined ? ["SIGTERM", "SIGINT"] : ["SIGTERM"];
}
