import type { AgentReport, ObservedNode } from "../src/core/observed.ts";

const names = ["node-a", "node-b"] as const;

/** The two nodes of the model, of which one at a time may be silent. */
export class ModelNodes {
  #silent: Readonly<{ node: string; since: number; reports: readonly AgentReport[] }> | null = null;

  /** The one that is not heard of; null where all are. */
  get silent(): string | null {
    return this.#silent?.node ?? null;
  }

  /** Where the scheduler puts the pod of a worker. */
  placeOf(worker: number): string {
    const ready = names.filter((name) => name !== this.silent);
    return ready[worker % ready.length] ?? names[0];
  }

  /** What the agents of the silent node last answered. */
  get lastReports(): readonly AgentReport[] {
    return this.#silent?.reports ?? [];
  }

  /** A node falls silent, unless another is. */
  silence(node: string, now: number, reports: readonly AgentReport[]): void {
    this.#silent ??= { node, since: now, reports };
  }

  thaw(): void {
    this.#silent = null;
  }

  observe(): ObservedNode[] {
    return names.map((name) => {
      const ready = name === this.silent ? "Unknown" : "True";
      return { name, presence: "Present", ready, readySince: this.#silent?.since ?? null, outOfService: false };
    });
  }
}
