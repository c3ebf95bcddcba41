import { AnswerBody } from "./answer-body.ts";

/** The head of an answer, and the body that goes on after it. */
export type Answered = Readonly<{ statusCode: number; headers: Readonly<Record<string, string>>; body: AnswerBody }>;

/** Lets something reach a client; called once for each thing that does, in order. */
export type Deliver = (run: () => void) => void;

/**
 * One request and its answer. Whatever the server says goes through `deliver`, so that a simulation decides when it
 * comes, and whether a client is still there; the order of what is said is kept in any case.
 */
export class Exchange {
  readonly answer: Promise<Answered>;
  readonly body: AnswerBody;
  readonly #deliver: Deliver;
  readonly #signal: AbortSignal | undefined;
  readonly #outbox: (() => void)[] = [];
  #settle: { resolve: (answered: Answered) => void; reject: (error: unknown) => void };
  #state: "Waiting" | "Answered" | "Over" = "Waiting";
  #isStalled = false;
  #leave: () => void = () => undefined;

  constructor(deliver: Deliver, signal: AbortSignal | undefined) {
    this.#deliver = deliver;
    this.#signal = signal;
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    this.body = new AnswerBody(() => this.#over());
    if (signal?.aborted === true) this.#abort();
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Whether the client has left, or the connection is gone. */
  get isOver(): boolean {
    return this.#state === "Over";
  }

  /** What the server does when the client leaves. */
  onLeave(run: () => void): void {
    if (this.isOver) run();
    else this.#leave = run;
  }

  /** Begins the answer. */
  respond(statusCode: number, headers: Readonly<Record<string, string>>): void {
    this.#post(() => {
      this.#state = "Answered";
      this.#settle.resolve({ statusCode, headers, body: this.body });
    });
  }

  /** Says the whole answer at once: a short one comes in one piece. */
  answerWith(statusCode: number, headers: Readonly<Record<string, string>>, text: string): void {
    this.#post(() => {
      this.#settle.resolve({ statusCode, headers, body: this.body });
      this.body.push(Buffer.from(text));
      this.body.end();
      this.#over();
    });
  }

  /** Goes on with the answer. */
  write(text: string): void {
    this.#post(() => this.body.push(Buffer.from(text)));
  }

  /** Ends the answer in good order. */
  end(): void {
    this.#post(() => {
      this.body.end();
      this.#over();
    });
  }

  /** Ends the exchange with a failure of the connection. */
  fail(error: Error): void {
    this.#post(() => this.#break(error));
  }

  /** The client is gone, and hears of nothing any more. */
  hangUp(): void {
    this.#over();
  }

  /** Says nothing any more, and keeps the connection open. */
  stall(): void {
    this.#isStalled = true;
  }

  #post(run: () => void): void {
    if (this.#isStalled) return;
    this.#outbox.push(run);
    // What is delivered first is what was said first, however long each takes.
    this.#deliver(() => {
      const next = this.#outbox.shift();
      if (!this.isOver) next?.();
    });
  }

  readonly #abort = (): void => {
    this.#break(this.#signal?.reason);
  };

  #break(reason: unknown): void {
    if (this.isOver) return;
    if (this.#state === "Waiting") this.#settle.reject(reason);
    else this.body.fail(reason);
    this.#over();
  }

  #over(): void {
    if (this.isOver) return;
    this.#state = "Over";
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#leave();
  }
}
