import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { AgentEnvironment, ForkSource } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { absentAsNull, accessing } from "@trainingrun/checkpoint/store/file-system.ts";
import type { ObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { readOnlyObjectStore } from "./stores.ts";

/**
 * The tiers of another run from which a checkpoint is to be copied, opened to be read alone: nothing is proven by
 * writing, and its directory is mounted such that nothing could be.
 */
export class ForkStores implements Disposable {
  readonly #environment: AgentEnvironment;
  readonly #signal: AbortSignal;
  #stores: Promise<readonly Store[]> | undefined;
  #objectStore: ObjectStore | undefined;

  constructor(environment: AgentEnvironment, signal: AbortSignal) {
    this.#environment = environment;
    this.#signal = signal;
  }

  /** Its volume first, where anything of that run lies on it. Throws where a tier cannot be read. */
  open(source: ForkSource): Promise<readonly Store[]> {
    this.#stores ??= this.#open(source);
    return this.#stores;
  }

  async #open({ run, volume, objectStore }: ForkSource): Promise<readonly Store[]> {
    const stores: Store[] = [];
    if (volume !== undefined && (await holdsRun(volume))) stores.push(new DirectoryStore(volume, run));
    if (objectStore !== undefined) {
      const { TRAININGRUN_CREDENTIALS } = this.#environment;
      const place = { TRAININGRUN_UID: run, TRAININGRUN_OBJECT_STORE: objectStore, TRAININGRUN_CREDENTIALS };
      this.#objectStore = await readOnlyObjectStore(place, this.#signal);
      stores.push(this.#objectStore);
    }
    return stores;
  }

  [Symbol.dispose](): void {
    this.#objectStore?.close();
  }
}

/** The kubelet makes an empty directory where a run has none on the claim. */
async function holdsRun(volume: string): Promise<boolean> {
  const data = join(volume, "data");
  return accessing(
    "look for another run's checkpoints",
    data,
    async () => (await absentAsNull(() => lstat(data))) !== null,
  );
}
