import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalJson } from "@trainingrun/checkpoint/canonical-json.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { workerName } from "@trainingrun/checkpoint/directory-name.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { awaitCommit } from "@trainingrun/checkpoint/shards/await-commit.ts";
import { saveShard } from "@trainingrun/checkpoint/shards/save-shard.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { z } from "zod";
import { addressOfFirst } from "./gang-address.ts";
import { meet, PeerLostError, type Rendezvous } from "./gang-rendezvous.ts";

/*
 * One worker of a gang that trains nothing: it speaks the contract of a pod and no framework. Each step mixes the sum of
 * what all workers bring into a number of its own, so one step too many or too few, on any worker, shows in all of them
 * from then on.
 *
 *     control/restored ─► own shard ─► meet ─► step: agree on sum, stop and save ─► … ─► shard ─► commit ─► record, exit
 */

let stopAsked = 0;
const stop = new AbortController();
process.on("SIGTERM", () => {
  stopAsked ||= performance.now();
  stop.abort();
});

const GangEnvironment = PodEnvironment.extend({
  MASTER_ADDR: z.string().min(1),
  MASTER_PORT: z.coerce.number().pipe(z.int()),
  GANG_STEPS: z.coerce.number().pipe(z.int().min(1)),
  /** How long a step takes. */
  GANG_STEP_MS: z.coerce.number().pipe(z.number().min(0)),
  /** How much later than the worker before it each begins to save. */
  GANG_SHARDS_APART_MS: z.coerce.number().pipe(z.number().min(0)).default(0),
  /** How long a worker stays without the others, as in a library that waits for them. */
  GANG_STAY_MS: z.coerce.number().pipe(z.number().min(0)).default(0),
  /** This pod's address, where pods have no names: worker 0 then leaves its own on the volume. */
  GANG_ADDRESS: z.string().optional(),
});
type GangEnvironment = z.infer<typeof GangEnvironment>;

const State = z.object({ step: z.int().min(0), value: z.int().min(0) });
type State = z.infer<typeof State>;

const patienceMs = 10 * 60_000;
const exitCodes = { done: 0, peerLost: 1, fenced: 4, preempted: 143 } as const;

class Worker {
  readonly #environment: GangEnvironment;
  readonly #store: DirectoryStore;
  readonly #restored: Restored;
  #state: State;
  #committed = 0;

  constructor(environment: GangEnvironment, restored: Restored, state: State) {
    this.#environment = environment;
    this.#restored = restored;
    this.#state = state;
    this.#store = new DirectoryStore(environment.TRAININGRUN_CHECKPOINTS, environment.TRAININGRUN_UID);
  }

  /** Trains to the end, or to the step at which all stop together. */
  async train(gang: Rendezvous): Promise<keyof typeof exitCodes> {
    const { GANG_STEPS: target, GANG_STEP_MS: stepMs, TRAININGRUN_WORKER: worker } = this.#environment;
    const interval = this.#environment.TRAININGRUN_INTERVAL;
    const every = "steps" in interval ? interval.steps : target;
    while (this.#state.step < target) {
      await sleep(stepMs);
      const { step, value } = this.#state;
      const own = mixed(value + worker * 0x9e3779b1 + step);
      const word = { step: step + 1, value: own, stop: stopAsked > 0, save: this.#isAskedToSave() };
      const { sum, stop, save } = await gang.agree(word);
      this.#state = { step: step + 1, value: mixed(value ^ sum) };
      this.#tell();
      if (stop) return this.#endEarly();
      const isDue = save || this.#state.step % every === 0;
      if (isDue && this.#state.step < target) await this.#save();
    }
    const checkpoint = await this.#saveAndWait();
    const { step } = this.#state;
    this.#leave({
      kind: "done",
      attempt: this.#attempt,
      step,
      checkpoint,
      weights: digestOf(this.#state),
      metrics: [],
    });
    return "done";
  }

  /** What is left to say where the others are gone: what was saved before has to do. */
  async leaveAlone(): Promise<keyof typeof exitCodes> {
    await sleep(this.#environment.GANG_STAY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stopAsked === 0) return "peerLost";
    this.#leavePreempted("NotAttempted", null);
    return "preempted";
  }

  async #endEarly(): Promise<keyof typeof exitCodes> {
    this.#leavePreempted("Saved", await this.#saveAndWait());
    return "preempted";
  }

  #leavePreempted(finalCheckpoint: "Saved" | "NotAttempted", checkpoint: string | null): void {
    const { step } = this.#state;
    const graceUsedSeconds = stopAsked === 0 ? 0 : (performance.now() - stopAsked) / 1000;
    this.#leave({ kind: "preempted", attempt: this.#attempt, step, finalCheckpoint, checkpoint, graceUsedSeconds });
  }

  /** Worker 0 alone is asked, and says it to the others with its next word. */
  #isAskedToSave(): boolean {
    const { TRAININGRUN_WORKER: worker, TRAININGRUN_CONTROL: control } = this.#environment;
    return worker === 0 && existsSync(join(control, controlFiles.save));
  }

  async #save(): Promise<void> {
    const { TRAININGRUN_UID: runUid, TRAININGRUN_WORKER: worker, TRAININGRUN_WORKERS: workers } = this.#environment;
    const { step } = this.#state;
    if (worker === 0) rmSync(join(this.#environment.TRAININGRUN_CONTROL, controlFiles.save), { force: true });
    await sleep(worker * this.#environment.GANG_SHARDS_APART_MS);
    await saveShard(this.#store, {
      ...{ runUid, attempt: this.#attempt, step, worker, workers, metrics: [], health: healthy },
      parent: this.#restored.resume?.digest ?? null,
      files: [jsonFile("state.json", this.#state)],
      producer: { name: "gang-worker", version: "1" },
    });
    this.#committed += 1;
  }

  /** The digest of what all workers have saved of this step, once worker 0's agent has committed it. */
  async #saveAndWait(): Promise<string> {
    await this.#save();
    const { TRAININGRUN_GRACE_SECONDS: graceSeconds } = this.#environment;
    const signal = AbortSignal.timeout(graceSeconds * 1000);
    return (await awaitCommit(this.#store, { step: this.#state.step, attempt: this.#attempt, signal })).digest;
  }

  get #attempt(): number {
    return this.#environment.TRAININGRUN_ATTEMPT;
  }

  /** The file for the agent, the termination log for the kubelet. */
  #leave(record: TrainerRecord & { kind: "done" | "preempted" }): void {
    const text = JSON.stringify(record);
    this.#write(controlFiles[record.kind], text);
    writeFileSync(this.#environment.TRAININGRUN_TERMINATION_LOG, text);
  }

  #tell(): void {
    const { step } = this.#state;
    const time = new Date().toISOString();
    const saves = { committed: this.#committed, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 };
    const progress: Progress = {
      ...{ version: 1, step, targetStep: this.#environment.GANG_STEPS, epoch: 0, samples: step, metrics: [], saves },
      ...{ stepsPerSecond: 0, backend: "gang-worker", time },
      firstStep: { step: (this.#restored.resume?.step ?? 0) + 1, time },
    };
    this.#write(controlFiles.progress, JSON.stringify(progress));
  }

  #write(name: string, text: string): void {
    const path = join(this.#environment.TRAININGRUN_CONTROL, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
}

/** Waits until the agent has handed over where to start, or until it is asked to stop before that: null then. */
async function awaitRestored({ TRAININGRUN_CONTROL: control, TRAININGRUN_ATTEMPT: attempt }: GangEnvironment) {
  for (const until = performance.now() + patienceMs; performance.now() < until && stopAsked === 0; await sleep(20)) {
    const restored = readRestored(join(control, controlFiles.restored));
    if (restored?.attempt === attempt) return restored;
  }
  return null;
}

function readRestored(path: string): Restored | null {
  try {
    return Restored.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

async function stateOf(restored: Restored, worker: number): Promise<State> {
  if (restored.resume === null) return { step: 0, value: mixed(worker + 1) };
  const { directory, digest } = restored.resume;
  const loaded = await loadCheckpoint(directory, { digest });
  return State.parse(await loaded.json(`${workerName(worker)}/state.json`));
}

function digestOf(state: State): string {
  return hashBytes(new TextEncoder().encode(canonicalJson(state)));
}

/** A number below 2^32 of which every bit depends on every bit of the other. */
function mixed(value: number): number {
  let bits = value >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x45d9f3b);
  bits = Math.imul(bits ^ (bits >>> 16), 0x45d9f3b);
  return (bits ^ (bits >>> 16)) >>> 0;
}

async function main(): Promise<keyof typeof exitCodes> {
  const environment = GangEnvironment.parse(process.env);
  const restored = await awaitRestored(environment);
  if (restored === null) return "preempted";
  const { TRAININGRUN_WORKER: rank, TRAININGRUN_WORKERS: size, MASTER_PORT: port } = environment;
  const worker = new Worker(environment, restored, await stateOf(restored, rank));
  const base = restored.resume?.digest ?? "none";
  let gang: Rendezvous | null = null;
  try {
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(patienceMs)]);
    const { GANG_ADDRESS: own } = environment;
    const address = own === undefined ? environment.MASTER_ADDR : await addressOfFirst(environment, { own, signal });
    gang = await meet({ address, listenAt: own ?? "0.0.0.0", port, rank, size, base, signal });
    return await worker.train(gang);
  } catch (error) {
    console.error(error);
    if (error instanceof FencedError) return "fenced";
    if (error instanceof PeerLostError || (gang === null && stop.signal.aborted)) return await worker.leaveAlone();
    throw error;
  } finally {
    gang?.end();
  }
}

main().then(
  (end) => process.exit(exitCodes[end]),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
