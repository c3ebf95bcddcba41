import { SimProcess } from "../../host/process.ts";
import type { Scheduler } from "../../host/scheduler.ts";

//              freeze                      cut the power
//   (new) ─► Up ─────► Frozen ─► Up    any ─────────────► Off ─► Up (boots)
//                thaw ────┘                          boot ──┘

/** A computer of the cluster: what runs on it stands still, and ends, together. */
export class Machine {
  readonly name: string;
  /** The first part of the addresses of its pods. */
  readonly network: string;
  readonly #scheduler: Scheduler;
  readonly #processes = new Set<SimProcess>();
  readonly #taken = new Set<string>();
  readonly #firstSkewMs: number;
  #skewMs: number;
  #kubelet: SimProcess;
  #state: "Up" | "Frozen" | "Off" = "Up";
  #isCutOff = false;

  constructor(
    scheduler: Scheduler,
    { name, number, skewMs }: Readonly<{ name: string; number: number; skewMs: number }>,
  ) {
    this.#scheduler = scheduler;
    this.name = name;
    this.network = `10.0.${number}`;
    this.#firstSkewMs = skewMs;
    this.#skewMs = skewMs;
    this.#kubelet = this.begin("kubelet", this.name);
  }

  get state(): "Up" | "Frozen" | "Off" {
    return this.#state;
  }

  /** How far its clock is ahead of the true time. */
  get skewMs(): number {
    return this.#skewMs;
  }

  /** Whether nothing gets from here to the rest of the cluster, or back. */
  get isCutOff(): boolean {
    return this.#isCutOff;
  }

  /** Whether the cluster hears of this machine: it runs, and it is connected. */
  get isHeard(): boolean {
    return this.#state === "Up" && !this.#isCutOff;
  }

  /** Its wall clock, in milliseconds since 1970. */
  get clockMs(): number {
    return this.#scheduler.epochMs + this.#scheduler.now + this.skewMs;
  }

  /** Makes a process of a pod, or of the machine itself. */
  begin(name: string, hostname: string): SimProcess {
    const process = new SimProcess(this.#scheduler, { name: `${this.name}/${name}`, hostname, skewMs: this.skewMs });
    this.#processes.add(process);
    process.atEnd(() => void this.#processes.delete(process));
    if (this.#state === "Frozen") process.pause();
    return process;
  }

  /** Lets the kubelet do something after a while: never once the machine is off, late where it stands still. */
  later(delayMs: number, run: () => void): void {
    const kubelet = this.#kubelet;
    this.#scheduler.after(kubelet, delayMs, run);
  }

  /** The lowest address that no pod has: one that was given back is the next one's, as in life. */
  takeAddress(): string {
    for (let last = 2; ; last += 1) {
      const address = `${this.network}.${last}`;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return address;
    }
  }

  giveBack(address: string): void {
    this.#taken.delete(address);
  }

  cutOff(): void {
    this.#isCutOff = true;
  }

  connect(): void {
    this.#isCutOff = false;
  }

  freeze(): void {
    if (this.#state !== "Up") return;
    this.#state = "Frozen";
    for (const process of this.#processes) process.pause();
  }

  thaw(): void {
    if (this.#state !== "Frozen") return;
    this.#state = "Up";
    for (const process of this.#processes) process.thaw();
  }

  /** Sets the clock of all that runs here: ahead of where it was in the beginning, or behind. */
  stepClock(byMs: number): void {
    this.#skewMs = this.#firstSkewMs + byMs;
    for (const process of this.#processes) process.skewMs = this.#skewMs;
  }

  /** The kubelet stands still, as one that is started again: what runs here goes on, and is told of later. */
  pauseKubelet(): void {
    this.#kubelet.pause();
  }

  /** The kubelet goes on, unless the whole machine stands still. */
  resumeKubelet(): void {
    if (this.#state !== "Frozen") this.#kubelet.thaw();
  }

  /** Ends everything that runs here at once. */
  cutPower(): void {
    this.#state = "Off";
    for (const process of this.#processes) process.kill("the node lost its power");
    this.#taken.clear();
  }

  /** Starts the machine again: the kubelet is another process, and nothing else runs. */
  boot(): void {
    if (this.#state !== "Off") return;
    this.#state = "Up";
    this.#kubelet = this.begin("kubelet", this.name);
  }
}
