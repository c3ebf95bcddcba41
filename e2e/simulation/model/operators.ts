import { SimProcess } from "../host/process.ts";
import type { Actor } from "../judge/history.ts";
import { operatorName } from "../plan/scenario.ts";
import { ModelDispatcher } from "./api/dispatcher.ts";
import type { Fault, Seen } from "./api/faults.ts";
import { operatorProgram } from "./operator-process.ts";
import type { PlayWorld } from "./play-world.ts";
import { requestFact } from "./request-fact.ts";
import { Sight } from "./sight.ts";

/** An operator of a play: its process, its connection to the API server, and what it sees once it is put together. */
export type PlayedOperator = {
  readonly name: string;
  readonly process: SimProcess;
  readonly dispatcher: ModelDispatcher;
  sight: Sight | null;
};

/** Where the Lease of several operators is kept. */
export const leasePlace = { namespace: "trainingrun-system", name: "operator" } as const;

const operatorNetwork = "10.9.0";
/** So long after its end an operator's process is started again. */
const restartMs = 3_000;

/** The operators of a play. One that ends is started again, as another process under the name that it has in the plan. */
export class Operators {
  readonly #world: PlayWorld;
  readonly #options: Readonly<{ wireMs: (operator: string) => number; hasLease: boolean }>;
  readonly #running = new Map<string, PlayedOperator>();
  readonly #reached = new Set<string>();
  /** What the server takes, and what lies in the file that operators read. */
  #token = "token-1";
  #version = 1;
  #isOver = false;

  constructor(world: PlayWorld, options: Readonly<{ wireMs: (operator: string) => number; hasLease: boolean }>) {
    this.#world = world;
    this.#options = options;
  }

  /** The operator of a name, as it runs now; undefined while it does not. */
  running(name: string): PlayedOperator | undefined {
    return this.#running.get(name);
  }

  /** Starts an operator, and starts it again whenever it ends. */
  keep(index: number): void {
    const { scheduler } = this.#world;
    const operator = this.#start(operatorName(index));
    this.#running.set(operator.name, operator);
    operator.process.atEnd(() => {
      this.#running.delete(operator.name);
      if (this.#isOver) return;
      scheduler.after(scheduler.world, restartMs, () => {
        if (!this.#isOver) this.keep(index);
      });
    });
  }

  /** An operator stands still: whatever is there now, it cannot see it. */
  pause({ name, process }: PlayedOperator): void {
    process.pause();
    this.#reaches(name, false);
  }

  /** Whoever is started from now on is another version, and brings another agent along. */
  upgrade(): void {
    this.#version += 1;
  }

  /** The server takes another token from now on, which lies in the file at once. */
  rotateToken(): void {
    this.#token = `token-${Number(this.#token.slice("token-".length)) + 1}`;
  }

  /** Has every operator compare what it sees with what there is. */
  compare(): void {
    const { scheduler } = this.#world;
    for (const { process, sight } of this.#running.values()) scheduler.after(process, 0, () => sight?.compare());
  }

  /** Ends them all. */
  end(): void {
    this.#isOver = true;
    for (const { process } of this.#running.values()) process.kill("the play is over");
  }

  #start(name: string): PlayedOperator {
    const { scheduler, history, api, runs, network } = this.#world;
    const who: Actor = { role: "Operator", name };
    const process = new SimProcess(scheduler, { name, skewMs: this.#world.skewOf(name) });
    network.join(process, `${operatorNetwork}.${Number(name.slice(name.lastIndexOf("-") + 1)) + 1}`);
    const operator: PlayedOperator = { name, process, dispatcher: this.#dispatcher(who, process), sight: null };
    history.note({ kind: "ProgramStarted", who });
    process.atEnd((ending) => {
      operator.dispatcher.hangUp();
      this.#reaches(name, false);
      const how = ({ returned: "Returned", threw: "Threw", killed: "Killed" } as const)[ending.kind];
      const why = ending.kind === "killed" ? ending.why : ending.kind === "threw" ? String(ending.error) : undefined;
      history.note({ kind: "ProgramEnded", who, how, why });
    });
    const settings = {
      dispatcher: operator.dispatcher,
      namespaces: [],
      instance: name,
      token: () => this.#token,
      agentImage: `model/agent:${this.#version}`,
      lease: this.#options.hasLease ? leasePlace : null,
    } as const;
    process.start(() =>
      operatorProgram(process, settings, (program) => {
        operator.sight = new Sight({ operator: program, process, name, api, runs, history });
      }),
    );
    return operator;
  }

  #dispatcher(who: Actor, process: SimProcess): ModelDispatcher {
    const { scheduler, acting, history, api } = this.#world;
    const { name } = who;
    const delay = () => this.#options.wireMs(name);
    let struck: Fault | undefined;
    return new ModelDispatcher({
      api,
      now: () => this.#world.clockOf("server"),
      accepts: (authorization) => authorization === `Bearer ${this.#token}`,
      toServer: (run) => void scheduler.after(scheduler.world, delay(), () => acting.by(who, run)),
      toClient: (run) => void scheduler.after(process, delay(), run),
      faults: {
        strike: (seen) => {
          struck = this.#strike(name, seen);
          return struck;
        },
        answered: (seen, code) => {
          // A server that is behind is none that shows what there is.
          if (struck?.kind !== "Stale" && process.state === "running") this.#reaches(name, true);
          const fact = requestFact(seen, { by: who, code, version: api.store.version });
          if (fact !== null) history.note(fact);
        },
      },
    });
  }

  #strike(operator: string, seen: Seen): Fault | undefined {
    for (const strike of this.#world.strikes) {
      const fault = strike(operator, seen);
      if (fault === undefined) continue;
      if (fault.kind !== "LoseAnswer") this.#reaches(operator, false);
      return fault;
    }
    return undefined;
  }

  /** An operator reaches the server, or does not. */
  #reaches(operator: string, holds: boolean): void {
    if (this.#reached.has(operator) === holds) return;
    if (holds) this.#reached.add(operator);
    else this.#reached.delete(operator);
    this.#world.history.note({ kind: "Reach", operator, holds });
  }
}
