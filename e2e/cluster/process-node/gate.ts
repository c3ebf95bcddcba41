/**
 * A door that everything a node does passes through. A frozen node closes it: nothing is read, decided, signalled or
 * reported until it opens again, as on a machine that hangs.
 */
export class Gate {
  #opening: PromiseWithResolvers<void> | undefined;

  /** Lets nobody pass from now on. */
  close(): void {
    this.#opening ??= Promise.withResolvers();
  }

  /** Lets all who wait, and all who come, pass. */
  open(): void {
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  /** Returns at once when the gate is open, else when it opens. Whoever closes it owes the opening. */
  async pass(): Promise<void> {
    await this.#opening?.promise;
  }
}
