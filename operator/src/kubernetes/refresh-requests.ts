/** Those who wait for a list that begins after they asked. */
export class RefreshRequests {
  readonly #waiting = new Set<PromiseWithResolvers<void>>();

  /** Resolves once a list that {@link begin} has begun since is whole; rejects when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const request = Promise.withResolvers<void>();
    const leave = () => request.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.add(request);
    try {
      await request.promise;
    } finally {
      this.#waiting.delete(request);
      signal.removeEventListener("abort", leave);
    }
  }

  get isAsked(): boolean {
    return this.#waiting.size > 0;
  }

  /** A list begins; what is returned is called when it is whole. */
  begin(): () => void {
    const served = [...this.#waiting];
    return () => {
      for (const request of served) {
        this.#waiting.delete(request);
        request.resolve();
      }
    };
  }

  /** No list will come any more. */
  end(reason: unknown): void {
    for (const request of this.#waiting) request.reject(reason);
  }
}
