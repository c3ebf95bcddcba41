import { Network } from "../network.ts";
import { type ProcessOptions, SimProcess } from "../process.ts";
import { Scheduler, type SchedulerOptions } from "../scheduler.ts";

/** A simulation with a few processes of a test's own. */
export class Stage {
  readonly scheduler: Scheduler;
  readonly network: Network;
  #addresses = 0;

  constructor({ network = new Network(), ...options }: Partial<SchedulerOptions> & { network?: Network } = {}) {
    this.scheduler = new Scheduler({ seed: 1, ...options });
    this.network = network;
  }

  /** Starts a process with an address of its own, which is 10.0.0.1 for the first. */
  start(
    name: string,
    main: (process: SimProcess) => Promise<unknown>,
    options: Partial<ProcessOptions> = {},
  ): SimProcess {
    const process = new SimProcess(this.scheduler, { ...options, name });
    this.#addresses += 1;
    this.network.join(process, `10.0.0.${this.#addresses}`);
    process.start(() => main(process));
    return process;
  }

  /** Lets the plan act at an instant. */
  at(ms: number, act: () => void): void {
    this.scheduler.after(this.scheduler.world, ms - this.scheduler.now, act);
  }

  /** Plays until nothing is to come, or until an hour has passed. */
  async play(untilMs = 3_600_000): Promise<void> {
    await this.scheduler.stepUntil(() => false, { untilMs });
  }

  /** Plays one program in a process of its own, and returns what it returned. */
  async playOne<T>(main: (process: SimProcess) => Promise<T>, options: Partial<ProcessOptions> = {}): Promise<T> {
    const returned: T[] = [];
    this.start("one", async (process) => returned.push(await main(process)), options);
    await this.play();
    if (returned.length === 0) throw new Error("Cannot give what the program returned because it has not");
    return returned[0] as T;
  }
}
