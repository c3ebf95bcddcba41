import type { SimProcess } from "../../host/process.ts";

/** Who is at one end: what is told there happens in events of its process. */
export type End = Readonly<{
  process: SimProcess;
  ip: string;
  /** The other process is gone, or its machine has forgotten it. */
  lost: () => void;
}>;

/** Whether anything gets from one address to another at present. */
export type IsOpen = (from: string, to: string) => boolean;

type Side = 0 | 1;

const wireMs = 0.5;
/** A kernel sends again what was not acknowledged. */
const againMs = 1_000;

/**
 * Two processes joined as by TCP: what one tells the other arrives, late where the way between them is cut for a while. Who
 * ends hangs up; but nothing is heard of a machine that is cut off, stands still or has lost its power, until it is back.
 */
export class Connection {
  readonly #ends: readonly [End, End];
  readonly #isOpen: IsOpen;

  constructor(ends: readonly [End, End], isOpen: IsOpen) {
    this.#ends = ends;
    this.#isOpen = isOpen;
    const [first, second] = ends;
    first.process.atEnd(() => this.#bring(1, second.lost));
    second.process.atEnd(() => this.#bring(0, first.lost));
  }

  /** Lets something happen in the process at one end, on behalf of the other. */
  tell(to: Side, run: () => void): void {
    this.#bring(to, run);
  }

  #bring(to: Side, run: () => void): void {
    const { process, ip } = this.#ends[to];
    if (process.state === "dead") return;
    const { scheduler } = process;
    const from = this.#ends[to === 0 ? 1 : 0];
    if (this.#isOpen(from.ip, ip)) scheduler.after(process, wireMs, run);
    else scheduler.after(scheduler.world, againMs, () => this.#bring(to, run), "background");
  }
}
