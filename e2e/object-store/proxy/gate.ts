import { EventEmitter, once } from "node:events";

/** Something that can be shut for a while: whoever comes then waits until it opens. */
export class Gate {
  readonly #events = new EventEmitter().setMaxListeners(0);
  #isOpen: boolean;

  constructor(state: "Open" | "Shut") {
    this.#isOpen = state === "Open";
  }

  shut(): void {
    this.#isOpen = false;
  }

  open(): void {
    this.#isOpen = true;
    this.#events.emit("open");
  }

  /** Resolves once it is open; rejects when the signal comes first. */
  async passed(signal: AbortSignal): Promise<void> {
    while (!this.#isOpen) await once(this.#events, "open", { signal });
  }
}
