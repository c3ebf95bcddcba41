import { setTimeout as sleep } from "node:timers/promises";
import { directoryName, parseDirectoryName, parseShardsName } from "@trainingrun/checkpoint/directory-name.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { until } from "./run-access.ts";
import type { RunVolume } from "./run-volume.ts";

type Place = Readonly<{ step: number; attempt: number }>;

const lookMs = 20;

/**
 * Looks at a gang's volume many times a second, as readers do: whatever is in the log or has a checkpoint's name must hold
 * every byte of every worker from its first moment on.
 */
export class ShardWatch {
  readonly #store: DirectoryStore;
  readonly #size: number;
  readonly #whole = new Set<string>();
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  /** What was seen of checkpoints that were not whole. */
  readonly broken: string[] = [];
  /** Looks at a step that some workers had saved and others not. */
  partialLooks = 0;

  constructor({ directory }: RunVolume, { runUid, size }: Readonly<{ runUid: string; size: number }>) {
    this.#store = new DirectoryStore(directory, runUid);
    this.#size = size;
    this.#running = this.#run();
  }

  /** The checkpoints that were seen, all of them whole. */
  get whole(): ReadonlySet<string> {
    return this.#whole;
  }

  /** Waits until of a step of this attempt worker 0's shard is there, and not all of the others. */
  async partialStep(attempt: number, signal: AbortSignal): Promise<number> {
    let found: Place | undefined;
    const isThere = async () => {
      found = (await this.#partial()).find((place) => place.attempt === attempt);
      return found !== undefined;
    };
    await until(`a step of attempt ${attempt} that worker 0 alone has saved`, signal, isThere, { everyMs: 2 });
    if (found === undefined) throw new Error("Cannot name the step because none was found");
    return found.step;
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    try {
      for (; !signal.aborted; await sleep(lookMs, undefined, { signal }).catch(() => undefined)) await this.#look();
    } catch (error) {
      this.broken.push(`Cannot look any more: ${error}`);
    }
  }

  async #look(): Promise<void> {
    const partial = await this.#partial();
    const logged = (await readLog(this.#store)).state.checkpoints.map(({ directory }) => directory);
    const named = (await this.#store.names()).filter((name) => parseDirectoryName(name) !== null);
    const visible = new Set([...logged, ...named]);
    for (const directory of visible) if (!this.#whole.has(directory)) await this.#match(directory);
    if (partial.some(({ step, attempt }) => !visible.has(directoryName(step, attempt)))) this.partialLooks += 1;
  }

  async #match(directory: string): Promise<void> {
    const verdict = await verifyCheckpoint(this.#store, { digest: null, directory });
    if (!verdict.ok) this.broken.push(`${directory}: ${verdict.message}`);
    else if (verdict.manifest.workers !== this.#size) this.broken.push(`${directory} is not of all workers`);
    else this.#whole.add(directory);
  }

  async #partial(): Promise<Place[]> {
    const partial: Place[] = [];
    for (const name of await this.#store.names()) {
      const place = parseShardsName(name);
      if (place === null) continue;
      const seals = await this.#store.shards.seals(place);
      if (seals.has(0) && seals.size < this.#size) partial.push(place);
    }
    return partial;
  }
}
