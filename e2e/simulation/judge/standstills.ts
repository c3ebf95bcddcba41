import type { Event, FactOf } from "./history.ts";

/** A stretch in which a pod's trainer did no step, and when it was over; it goes on where it is not. */
type Stretch = Readonly<{ ms: number; endedAtMs: number }>;

/** For how long trainers have done no step, by what is known of their steps. */
export class Standstills {
  readonly #lastAt = new Map<string, number>();
  readonly #longest = new Map<string, Stretch>();

  /** Takes in a step. */
  step({ pod, atMs }: Event<FactOf<"Stepped">>): void {
    const ms = atMs - (this.#lastAt.get(pod) ?? atMs);
    this.#lastAt.set(pod, atMs);
    if (ms >= (this.#longest.get(pod)?.ms ?? 0)) this.#longest.set(pod, { ms, endedAtMs: atMs });
  }

  /** Whether one of the pods has stood still for so long, now or a moment ago: it takes a while until that is heard of. */
  anyOf(pods: readonly string[], { leastMs, atMs }: Readonly<{ leastMs: number; atMs: number }>): boolean {
    return pods.some((pod) => {
      const lastAt = this.#lastAt.get(pod);
      const longest = this.#longest.get(pod);
      if (lastAt === undefined || longest === undefined) return false;
      return atMs - lastAt >= leastMs || (longest.ms >= leastMs && atMs - longest.endedAtMs <= heardWithinMs);
    });
  }
}

const heardWithinMs = 60_000;
