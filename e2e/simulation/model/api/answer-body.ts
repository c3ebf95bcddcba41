type Step = IteratorResult<Uint8Array, undefined>;

/** The body of an answer, as bytes that come one piece after the other; read once. */
export class AnswerBody implements AsyncIterable<Uint8Array> {
  readonly #left: () => void;
  readonly #chunks: Uint8Array[] = [];
  #waiting: { resolve: (step: Step) => void; reject: (error: unknown) => void } | undefined;
  #state: Readonly<{ kind: "Open" | "Ended" } | { kind: "Failed"; error: unknown }> = { kind: "Open" };

  /** `left` is told when the reader leaves before the end. */
  constructor(left: () => void) {
    this.#left = left;
  }

  /** Adds a piece. */
  push(chunk: Uint8Array): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#chunks.push(chunk);
    else waiting.resolve({ done: false, value: chunk });
  }

  /** Ends the body in good order. */
  end(): void {
    this.#state = { kind: "Ended" };
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = undefined;
  }

  /** Breaks the body off: what has not been read is lost. */
  fail(error: unknown): void {
    this.#state = { kind: "Failed", error };
    this.#chunks.length = 0;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#left();
        return { done: true, value: undefined };
      },
    };
  }

  /** The whole body as a text. */
  async text(): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  /** The whole body, read as JSON. */
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  /** Reads the body and forgets it. */
  async dump(): Promise<void> {
    await this.text();
  }

  #next(): Promise<Step> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    if (this.#state.kind === "Failed") return Promise.reject(this.#state.error);
    if (this.#state.kind === "Ended") return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
