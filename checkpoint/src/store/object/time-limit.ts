/** A signal that comes with the parent's or after a time, and that leaves neither a timer nor a listener behind. */
export class TimeLimit implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #parent: AbortSignal | undefined;
  readonly #stop = () => this.#controller.abort(this.#parent?.reason);
  #isOver = false;

  constructor(afterMs: number, parent: AbortSignal | undefined) {
    this.#parent = parent;
    if (parent?.aborted === true) this.#stop();
    else parent?.addEventListener("abort", this.#stop, { once: true });
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#controller.abort();
    }, afterMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the time was up. */
  get isOver(): boolean {
    return this.#isOver;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener("abort", this.#stop);
  }
}

/** A signal that comes so long after the parent's, or after now where that has come; `using` it leaves nothing behind. */
export class Grace implements Disposable {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #ms: number;
  readonly #begin = () => {
    this.#timer = setTimeout(() => this.#controller.abort(this.#parent?.reason), this.#ms);
  };
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, parent: AbortSignal | undefined) {
    this.#ms = ms;
    this.#parent = parent;
    if (parent?.aborted === true) this.#begin();
    else parent?.addEventListener("abort", this.#begin, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener("abort", this.#begin);
  }
}
