import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment, type Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { LogRecord } from "@trainingrun/checkpoint/log/record.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import type { SavedCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { onTestFinished } from "vitest";
import { readEnvironment } from "../src/environment.ts";
import { Keeper } from "../src/serve/keeper.ts";
import { type Knowledge, knowledgeFrom } from "../src/serve/knowledge.ts";
import { AgentMetrics } from "../src/serve/metrics.ts";
import { Mirror } from "../src/serve/mirror.ts";
import type { OpenedStore } from "../src/serve/mirror-store.ts";
import { agentState } from "../src/serve/report.ts";
import { VerifiedDigests } from "../src/serve/verified-digests.ts";
import { keepTwo, nothingRecorded, podVariables } from "./sample.ts";
import { TrainerRole } from "./trainer-role.ts";

/** A directory that goes with the test. */
export function temporaryDirectory(): string {
  const root = mkdtempSync(join(tmpdir(), "agent-mirror-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

type Hold = (signal: AbortSignal) => Promise<void>;

/** The tiers of one run, both on the disk: what the mirror does is the same for every kind of store. */
export class Tiers {
  readonly root = temporaryDirectory();
  readonly remote: DirectoryStore;
  /** Whether the object store honours conditional creates. */
  fences = true;
  /** While it is set, the object store is away with these words. */
  away: string | null = null;
  /** Waits or fails in the place of the next upload of this step. */
  readonly atUpload = new Map<number, Hold>();
  /** The same once all of its files are there, and its manifest is not. */
  readonly atPublish = new Map<number, Hold>();

  constructor(remote: DirectoryStore) {
    this.remote = remote;
  }

  static async make(): Promise<Tiers> {
    return new Tiers(await openDirectoryStore(temporaryDirectory(), { runUid: "run-uid" }));
  }

  /** The object store as an agent opens it. */
  open = async (signal: AbortSignal): Promise<OpenedStore> => {
    if (this.away !== null) throw new StorageUnavailableError(this.away);
    return new Proxy<OpenedStore>(this.remote, {
      get: (target, name) => {
        if (name === "fences") return this.fences;
        if (name === "begin") return (place: { step: number; attempt: number }) => this.#begin(place, signal);
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]) => {
          if (this.away !== null) return Promise.reject(new StorageUnavailableError(this.away));
          return value.apply(target, given);
        };
      },
    });
  };

  /** What its log says, without the attempts' opening. */
  async commits(): Promise<string[]> {
    const { records } = await readLog(this.remote);
    return records.flatMap((entry) => ("record" in entry ? describe(entry.record) : []));
  }

  async #begin(place: { step: number; attempt: number }, signal: AbortSignal) {
    const held = this.atUpload.get(place.step);
    this.atUpload.delete(place.step);
    await held?.(signal);
    const writer = await this.remote.begin(place);
    const publish = writer.publish.bind(writer);
    writer.publish = async (...given) => {
      const held = this.atPublish.get(place.step);
      this.atPublish.delete(place.step);
      await held?.(signal);
      await publish(...given);
    };
    return writer;
  }
}

function describe(record: LogRecord): string[] {
  if (record.kind === "open") return [];
  return [record.kind === "commit" ? `commit ${record.step}` : record.kind];
}

/** The agent of one pod in this process: what `serve` is made of, without its loop. */
export class ServingPod {
  readonly environment: AgentEnvironment;
  readonly trainer: TrainerRole;
  readonly metrics: AgentMetrics;
  readonly #tiers: Tiers;
  readonly #never = new AbortController().signal;
  readonly #stop = new AbortController();
  readonly #volume: DirectoryStore;
  readonly #restored: Restored;
  readonly #waiting = new Set<() => void>();
  keeper: Keeper;
  mirror: Mirror;
  nowMs = 0;
  uploadedBytes = 0;

  private constructor(tiers: Tiers, parts: Omit<KeeperParts, "tiers"> & { keeper: Keeper }) {
    this.#tiers = tiers;
    this.environment = parts.environment;
    this.#volume = parts.volume;
    this.#restored = parts.restored;
    this.keeper = parts.keeper;
    this.trainer = new TrainerRole({ ...podVariables(tiers.root), TRAININGRUN_ATTEMPT: `${this.#attempt}` });
    const source = async () => ({
      state: agentState(this.environment, this.knowledge, { progress: null, mirror: this.mirror.state }),
      volume: { checkpoints: 0, size: null, available: null },
    });
    this.metrics = new AgentMetrics(source, { run: "mnist", run_namespace: "ml" });
    const countUploaded = this.metrics.countUploaded.bind(this.metrics);
    this.metrics.countUploaded = (bytes) => {
      this.uploadedBytes += bytes;
      countUploaded(bytes);
    };
    this.mirror = this.#makeMirror();
  }

  /** Restores the attempt in both tiers, as its pod would. */
  static async start(
    tiers: Tiers,
    attempt: number,
    over: Record<string, string> = {},
    expected: Partial<Expected> = {},
  ): Promise<ServingPod> {
    const pod = { TRAININGRUN_ATTEMPT: `${attempt}`, TRAININGRUN_POD_UID: `pod-${attempt}` };
    const environment = readEnvironment(AgentEnvironment, { ...podVariables(tiers.root, pod), ...over });
    const volume = await openDirectoryStore(environment.TRAININGRUN_CHECKPOINTS, { runUid: "run-uid" });
    const who = { runUid: "run-uid", attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
    const request = { ...who, expected: { ...nothingRecorded, ...expected }, objectStore: tiers.remote };
    const outcome = await restoreRun(volume, request);
    if (outcome.kind === "failed") throw new Error(outcome.message);
    const { restored } = outcome;
    const keeper = await newKeeper({ tiers, environment, volume, restored });
    return new ServingPod(tiers, { environment, volume, restored, keeper });
  }

  get #attempt(): number {
    return this.environment.TRAININGRUN_ATTEMPT;
  }

  /** Saves these steps and looks at them. */
  async save(...steps: readonly number[]): Promise<SavedCheckpoint[]> {
    const saved = [];
    for (const step of steps) saved.push(await this.trainer.save(step));
    await this.look();
    return saved;
  }

  /** Saves the last step, says that the trainer is done, and looks at that; answers the final checkpoint's digest. */
  async finish(step: number): Promise<string> {
    const [final] = await this.save(step);
    const checkpoint = final?.manifest.digest ?? "";
    mkdirSync(this.environment.TRAININGRUN_CONTROL, { recursive: true });
    this.trainer.leave({ kind: "done", attempt: this.#attempt, step, checkpoint, metrics: [] });
    await this.look();
    return checkpoint;
  }

  async look(leisure: AbortSignal = this.#never): Promise<void> {
    await this.keeper.look({ signal: this.#never, leisure, learned: async () => this.mirror.wake() });
    this.mirror.wake();
  }

  async prune(): Promise<void> {
    if (this.mirror.proven !== null) await this.keeper.prune(this.#never, this.mirror.proven);
  }

  get knowledge(): Knowledge {
    const { keeper, mirror } = this;
    return knowledgeFrom({ ...keeper.findings, mirror, durability: this.environment.TRAININGRUN_VOLUME });
  }

  /** Lets the mirror run until the condition holds, and ends it there, as a kill would. */
  async mirrorUntil(holds: () => boolean): Promise<void> {
    const end = new AbortController();
    const running = this.mirror.run(AbortSignal.any([end.signal, this.#stop.signal]), {
      changed: () => {
        for (const wake of this.#waiting) wake();
      },
    });
    const reached = new Promise<void>((resolve) => {
      const look = () => {
        if (holds()) resolve();
      };
      this.#waiting.add(look);
      look();
      // What is no work done, such as a failure, is seen by looking.
      const timer = setInterval(look, 20);
      onTestFinished(() => clearInterval(timer));
    });
    await Promise.race([reached, running]);
    this.#waiting.clear();
    end.abort();
    await running;
  }

  /** Another life of the mirror in the same pod: what the last one had in memory is gone. */
  restart(): void {
    this.mirror = this.#makeMirror();
  }

  /** Another life of the whole agent in the same pod. */
  async restartAgent(): Promise<void> {
    const [tiers, volume, restored] = [this.#tiers, this.#volume, this.#restored];
    this.keeper = await newKeeper({ tiers, environment: this.environment, volume, restored });
    this.restart();
  }

  #makeMirror(): Mirror {
    return new Mirror({
      environment: this.environment,
      volume: this.#volume,
      open: this.#tiers.open,
      source: () => this.keeper.source,
      metrics: this.metrics,
      onDamaged: (digest) => this.keeper.doubt(digest),
      onFenced: (why) => this.keeper.fence(why),
      now: () => this.nowMs,
    });
  }
}

type KeeperParts = {
  tiers: Tiers;
  environment: AgentEnvironment;
  volume: DirectoryStore;
  restored: Restored;
};

/** As `serve` makes it. */
async function newKeeper({ tiers, environment, volume, restored }: KeeperParts): Promise<Keeper> {
  const metrics = new AgentMetrics(() => Promise.reject(new Error("not asked")), { run: "", run_namespace: "" });
  const verified = await VerifiedDigests.known(environment, restored);
  return new Keeper({ environment, store: volume, restored, verified, openMirror: tiers.open, metrics });
}

/** Retention that removes nothing. */
export const keepMany = { TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, last: 100 }) };

/** A pod of the first attempt that has saved these steps and verified them. */
export async function savedPod(steps: readonly number[], over: Record<string, string> = keepMany) {
  const tiers = await Tiers.make();
  const pod = await ServingPod.start(tiers, 1, over);
  const saved = await pod.save(...steps);
  return { tiers, pod, saved };
}
