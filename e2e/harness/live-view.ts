import { conditionOf, type RunView } from "./run-view.ts";

/** What is shown of a run while it is waited for: one line that renews itself on a terminal, a line per change elsewhere. */
export class LiveView {
  readonly #started = performance.now();
  readonly #terminal = process.stdout.isTTY === true;
  #last = "";
  #shownAt = 0;

  /** Shows the run as it is now. Without a terminal at most one line a second, and none that says nothing new. */
  show(run: RunView): void {
    const line = lineOf(run);
    const now = performance.now();
    if (line === this.#last || (!this.#terminal && now - this.#shownAt < 1000)) return;
    this.#last = line;
    this.#shownAt = now;
    const text = `  ${this.#clock()} ${line}`;
    if (this.#terminal) process.stdout.write(`\r\x1b[K${text}`);
    else console.log(text);
  }

  /** Says something that stays. */
  say(text: string): void {
    if (this.#terminal) process.stdout.write("\r\x1b[K");
    console.log(`  ${this.#clock()} ${text}`);
    this.#last = "";
  }

  #clock(): string {
    const seconds = Math.floor((performance.now() - this.#started) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`.padStart(5);
  }
}

function lineOf(run: RunView): string {
  const { state, attempt, progress, latestVerified } = run.status;
  const loss = progress?.metrics.find(({ name }) => name === "loss")?.value;
  const stuck = conditionOf(run, "Progressing");
  const why =
    stuck?.status === "False" && state !== "Complete" ? `  (${stuck.reason}: ${stuck.message.slice(0, 60)})` : "";
  return [
    (state ?? "new").padEnd(9),
    `attempt ${attempt ?? "–"}`,
    `step ${progress?.step ?? 0}${progress?.targetStep === undefined ? "" : `/${progress.targetStep}`}`,
    `loss ${loss === undefined ? "–" : Number(loss).toFixed(3)}`,
    `last verified ${latestVerified === undefined ? "none" : `step ${latestVerified.step}`}${why}`,
  ].join("  ");
}
