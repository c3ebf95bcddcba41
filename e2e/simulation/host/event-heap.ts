import type { SimEvent } from "./scheduler.ts";

/** Events by their instant, then their tie, then the order of their insertion: a binary heap. */
export class EventHeap {
  #events: SimEvent[] = [];

  /** The instant of the next event that will happen; undefined where there is none. */
  nextAt(): number | undefined {
    // What was cancelled stays until it comes up: taking it out at once would cost a search each time.
    while (this.#events[0]?.state === "done") this.pop();
    return this.#events[0]?.at;
  }

  /** Adds an event. */
  push(event: SimEvent): void {
    this.#events.push(event);
    this.#rise(this.#events.length - 1, event);
  }

  /** Takes the first event out, cancelled or not. */
  pop(): SimEvent | undefined {
    const first = this.#events[0];
    const last = this.#events.pop();
    if (last !== undefined && this.#events.length > 0) this.#sink(last);
    return first;
  }

  /** Takes out all events of a kind; seldom used, so it may look at each. */
  remove(leaves: (event: SimEvent) => boolean): SimEvent[] {
    const left = this.#events.filter(leaves);
    if (left.length === 0) return [];
    const stay = this.#events.filter((event) => !leaves(event));
    this.#events = [];
    for (const event of stay) this.push(event);
    return left;
  }

  #rise(from: number, event: SimEvent): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#events[above];
      if (parent === undefined || !comesBefore(event, parent)) break;
      this.#events[at] = parent;
      at = above;
    }
    this.#events[at] = event;
  }

  /** Puts an event in the place of the first, then where it belongs. */
  #sink(event: SimEvent): void {
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const left = this.#events[below];
      const right = this.#events[below + 1];
      if (left === undefined) break;
      if (right !== undefined && comesBefore(right, left)) below += 1;
      const child = below === 2 * at + 1 ? left : right;
      if (child === undefined || !comesBefore(child, event)) break;
      this.#events[at] = child;
      at = below;
    }
    this.#events[at] = event;
  }
}

function comesBefore(one: SimEvent, other: SimEvent): boolean {
  if (one.at !== other.at) return one.at < other.at;
  if (one.tie !== other.tie) return one.tie < other.tie;
  return one.sequence < other.sequence;
}
