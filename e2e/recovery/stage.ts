import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { RunAccess, until } from "../harness/run-access.ts";
import { PodView, type RunView } from "../harness/run-view.ts";
import { findClaimDirectory } from "../harness/run-volume.ts";
import type { Contender } from "./contenders.ts";
import { Diary } from "./diary.ts";
import { claimName, contenderLabel, programMapName } from "./plain-pod.ts";
import { programFiles } from "./program.ts";

/** How a container is lost. */
export type Loss = "eviction" | "crash";

const namespace = "default";
const core = `/api/v1/namespaces/${namespace}`;
/** The first pods have their images and volumes to wait for; a back-off is minutes at most where somebody waits for it. */
const patienceMs = 120_000;

/** Where contenders stand beside each other and lose their containers: one claim, one program, one cluster. */
export class Stage {
  readonly #api: ApiClient;
  #directory = "";

  private constructor(api: ApiClient) {
    this.#api = api;
  }

  /** Creates the contenders, and returns when the container of each runs. */
  static async set(
    contenders: readonly Contender[],
    { api, signal }: Readonly<{ api: ApiClient; signal: AbortSignal }>,
  ): Promise<Stage> {
    const stage = new Stage(api);
    await stage.#create({ path: `${core}/configmaps`, body: await programMap() });
    await stage.#create({ path: `${core}/persistentvolumeclaims`, body: claim });
    for (const { objects } of contenders) for (const object of objects) await stage.#create(object);
    stage.#directory = await stage.#findDirectory(signal);
    await Promise.all(contenders.map((contender) => stage.#settled(contender, bounded(signal))));
    return stage;
  }

  /** Takes a contender's container away. Seconds from then until the next one runs, by the clock of this machine. */
  async interrupt(
    contender: Contender,
    { loss, signal }: Readonly<{ loss: Loss; signal: AbortSignal }>,
  ): Promise<number> {
    const limit = bounded(signal);
    await this.#settled(contender, limit);
    const diary = this.#diaryOf(contender);
    const after = { after: (await diary.entries()).length, signal: limit };
    const lostMs = loss === "eviction" ? await this.#evict(contender, limit) : await this.#crash(contender, after);
    const { atMs } = await diary.next("running", after);
    return (atMs - lostMs) / 1000;
  }

  /** Resolves when the contender's container runs, and what has to be known of it for the next one is. */
  async #settled(contender: Contender, signal: AbortSignal): Promise<void> {
    await this.#diaryOf(contender).next("running", { after: 0, signal });
    await this.#livePod(contender, signal);
    if (contender.saves === "Nothing") return;
    const run = new RunAccess(this.#api, { namespace, name: contender.name });
    await run.waitFor("a checkpoint of the attempt that trains", signal, hasSaved);
  }

  async #evict(contender: Contender, signal: AbortSignal): Promise<number> {
    const { name, uid } = (await this.#livePod(contender, signal)).metadata;
    const atMs = Date.now();
    await this.#api.expect("POST", `${core}/pods/${name}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name, namespace },
      deleteOptions: { preconditions: { uid } },
    });
    return atMs;
  }

  async #crash(contender: Contender, after: Parameters<Diary["next"]>[1]): Promise<number> {
    await writeFile(join(this.#directory, contender.name, "crash"), "");
    return (await this.#diaryOf(contender).next("crashed", after)).atMs;
  }

  /** The one pod that runs and that nobody has asked to go. */
  async #livePod({ name }: Contender, signal: AbortSignal): Promise<PodView> {
    const selector = encodeURIComponent(`${contenderLabel}=${name}`);
    let live: PodView | undefined;
    await until(`a running pod of ${name}`, signal, async () => {
      const { items } = Pods.parse(await this.#api.expect("GET", `${core}/pods?labelSelector=${selector}`));
      live = items.find(({ metadata, status }) => !metadata.deletionTimestamp && status.phase === "Running");
      return live !== undefined;
    });
    if (live === undefined) throw new Error(`Cannot find a pod of ${name}: the wait ended without one`);
    return live;
  }

  /** The directory of this machine behind the claim. */
  async #findDirectory(signal: AbortSignal): Promise<string> {
    let directory: string | undefined;
    await until(`claim ${claimName} to be bound`, bounded(signal), async () => {
      directory = await findClaimDirectory(this.#api, namespace, claimName);
      return directory !== undefined;
    });
    return z.string().parse(directory);
  }

  #diaryOf({ name }: Contender): Diary {
    return new Diary(join(this.#directory, name));
  }

  async #create({ path, body }: Contender["objects"][number]): Promise<void> {
    await this.#api.expect("POST", path, body);
  }
}

const Pods = z.object({ items: z.array(PodView) });

const claim = {
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: claimName },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
};

async function programMap(): Promise<Readonly<Record<string, unknown>>> {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: programMapName }, data: await programFiles() };
}

/** Its trainer runs, and what it saved is verified and on record: the next attempt has that to restore. */
function hasSaved({ status }: RunView): boolean {
  const [entry] = status.attempts;
  return (
    entry?.firstStepTime !== undefined &&
    entry.endTime === undefined &&
    status.state === "Running" &&
    status.latestVerified?.attempt === entry.number
  );
}

function bounded(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
}
