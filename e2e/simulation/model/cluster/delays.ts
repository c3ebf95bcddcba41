import type { Chance, Row } from "../../host/chance.ts";

/** From, up to: what the parts of a cluster take, in milliseconds. */
const spans = {
  /** From a write to its controller's or kubelet's having heard of it. */
  hear: [1, 25],
  /** A request on its way to the API server, or an answer on its way back. */
  wire: [0.2, 3],
  /** A scheduler's round. */
  schedule: [5, 60],
  /** Until a queue has found room for what waits in it. */
  admit: [10, 3_000],
  /** Attaching and mounting what a pod needs. */
  mount: [20, 400],
  /** Pulling an image and making a container of it. */
  start: [30, 500],
  /** From a container's end to the kubelet's having seen it. */
  notice: [5, 900],
  /** From something new about a pod to the kubelet's telling it. */
  status: [5, 60],
  /** Taking down what is left of a pod. */
  cleanUp: [10, 200],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

/** How long the parts of a cluster take, drawn for each part and each object on its own. */
export class Delays {
  readonly #chance: Chance;
  readonly #rows = new Map<string, Row>();

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** The next delay of a kind, for one object. */
  ms(what: keyof typeof spans, key: string): number {
    const [least, most] = spans[what];
    return least + (most - least) * this.#row(what, key).next();
  }

  #row(what: string, key: string): Row {
    const name = `${what} ${key}`;
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const row = this.#chance.row(`delay of ${what}`, key);
    this.#rows.set(name, row);
    return row;
  }
}
