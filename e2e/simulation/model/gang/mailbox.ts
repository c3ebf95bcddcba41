/** What one process waits for from another, one thing at a time. */
export class Mailbox<T> {
  readonly #come: T[] = [];
  #failure: Error | null = null;
  #waiting: Readonly<{ resolve: (value: T) => void; reject: (error: Error) => void }> | null = null;

  put(value: T): void {
    if (this.#waiting === null) this.#come.push(value);
    else this.#waiting.resolve(value);
    this.#waiting = null;
  }

  /** Nothing comes any more; what has come already is still given out. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = null;
  }

  /** The next thing, as soon as it is there. Only one may wait for it. */
  next(): Promise<T> {
    return new Promise((resolve, reject) => {
      const [first] = this.#come.splice(0, 1);
      if (first !== undefined) resolve(first);
      else if (this.#failure !== null) reject(this.#failure);
      else this.#waiting = { resolve, reject };
    });
  }
}
