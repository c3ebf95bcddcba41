import { type FSWatcher, watch } from "node:fs";

type Watched = Readonly<{ directory: string; wakesFor(name: string | null): boolean }>;

/**
 * When to look at the volume again: at once after something changed in a watched directory, and after `pollMs` in any
 * case. File notifications get lost (network file systems never send another node's), which costs latency only.
 */
export class Pace implements Disposable {
  readonly #watched: readonly Watched[];
  readonly #pollMs: number;
  readonly #watchers = new Map<string, FSWatcher>();
  #pending = false;
  #wake: () => void = () => {};

  constructor(watched: readonly Watched[], options: { pollMs: number }) {
    this.#watched = watched;
    this.#pollMs = options.pollMs;
  }

  /** Waits for the next look: a change, the poll or the signal. Changes since the last look count, as one. */
  async next(signal: AbortSignal): Promise<void> {
    this.#watchAll();
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, this.#pollMs);
        signal.addEventListener("abort", done, { once: true });
        this.#wake = done;
      });
    }
    this.#pending = false;
  }

  /** Says that there is something to look at. */
  wake(): void {
    this.#pending = true;
    this.#wake();
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Starts the watches that do not stand: a directory may not exist yet, and a watch may have failed. */
  #watchAll(): void {
    for (const { directory, wakesFor } of this.#watched) {
      if (this.#watchers.has(directory)) continue;
      try {
        const watcher = watch(directory, { persistent: false }, (_event, name) => {
          if (!wakesFor(name)) return;
          this.wake();
        });
        watcher.on("error", () => {
          watcher.close();
          this.#watchers.delete(directory);
        });
        this.#watchers.set(directory, watcher);
        // What changed before the watch stood was not told.
        this.#pending = true;
      } catch {
        // The poll sees what this watch would have told.
      }
    }
  }
}
