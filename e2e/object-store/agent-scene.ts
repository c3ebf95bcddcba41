import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import { type ObjectStore, openObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { Pod } from "../../agent/test/agent-process.ts";
import { keepTwo } from "../../agent/test/sample.ts";
import { TrainerRole } from "../../agent/test/trainer-role.ts";
import { type FaultProxy, startFaultProxy } from "./proxy/fault-proxy.ts";
import { type ObjectStore as Server, type StoreKind, startStore } from "./store.ts";

/** Where runs lie in the bucket. */
export const prefix = "team/runs";

/** A store with a proxy before it, and the pods of one run that use it. */
export class AgentScene implements AsyncDisposable {
  readonly directory: string;
  readonly server: Server;
  readonly proxy: FaultProxy;
  readonly #pods: Pod[] = [];

  private constructor(parts: { directory: string; server: Server; proxy: FaultProxy }) {
    this.directory = parts.directory;
    this.server = parts.server;
    this.proxy = parts.proxy;
  }

  static async start(kind: StoreKind): Promise<AgentScene> {
    const directory = await mkdtemp(join(tmpdir(), "agent-store-"));
    const server = await startStore(kind, { directory: join(directory, "store") });
    const { endpoint, accessKeyId, secretAccessKey } = server.access;
    const proxy = await startFaultProxy({ target: endpoint, credentials: server.access });
    await writeFile(join(directory, "accessKeyId"), accessKeyId);
    await writeFile(join(directory, "secretAccessKey"), `${secretAccessKey}\n`);
    return new AgentScene({ directory, server, proxy });
  }

  /** The pod of an attempt. Its volume is its own, unless `volume` names an earlier one. */
  pod(attempt: number, over: Record<string, string> = {}): { pod: Pod; trainer: TrainerRole } {
    const pod = new Pod({
      TRAININGRUN_ATTEMPT: `${attempt}`,
      TRAININGRUN_POD_UID: `pod-${attempt}`,
      TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, last: 100 }),
      ...this.variables,
      ...over,
    });
    this.#pods.push(pod);
    return { pod, trainer: new TrainerRole(pod.variables) };
  }

  /** Waits until so many requests have come in all, or until none has come for a second: there is nothing more to do. */
  async requests(total: number): Promise<void> {
    let seen = -1;
    for (let quiet = 0; this.proxy.log.length < total && quiet < 200; quiet += 1) {
      if (this.proxy.log.length > seen) quiet = 0;
      seen = this.proxy.log.length;
      await setTimeout(5);
    }
  }

  /** What tells an agent of the object store. */
  get variables(): Record<string, string> {
    const { bucket, region } = this.server.access;
    return {
      TRAININGRUN_OBJECT_STORE: JSON.stringify({ endpoint: this.proxy.endpoint, bucket, prefix, region }),
      TRAININGRUN_CREDENTIALS: this.directory,
    };
  }

  /** The object store as a reader sees it that nothing stands before. */
  async reader(runUid = "run-uid"): Promise<ObjectStore> {
    const { endpoint, bucket } = this.server.access;
    return openObjectStore({ endpoint, bucket, prefix, credentials: this.directory, runUid });
  }

  /** The state of the run in the object store, and the steps whose every byte matches there, in order. */
  async mirrored(): Promise<{ state: RunState; steps: number[] }> {
    const store = await this.reader();
    try {
      const { state } = await readLog(store);
      const steps: number[] = [];
      for (const ref of state.checkpoints) {
        const verdict = await verifyCheckpoint(store, ref);
        if (!verdict.ok) throw new Error(`The object store's log names step ${ref.step}: ${verdict.message}`);
        steps.push(ref.step);
      }
      return { state, steps: steps.sort((a, b) => a - b) };
    } finally {
      store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods) await pod[Symbol.asyncDispose]();
    await this.proxy.stop();
    await this.server.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
