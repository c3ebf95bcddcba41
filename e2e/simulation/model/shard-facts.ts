import { parseShardsName } from "@trainingrun/checkpoint/directory-name.ts";
import { manifestName } from "@trainingrun/checkpoint/file-path.ts";
import type { History, PodPart, StoreName } from "../judge/history.ts";
import { fieldsOf } from "./api/object.ts";
import { jsonOf } from "./disk/content.ts";
import type { Inode } from "./disk/inode.ts";
import { together } from "./trainer/weights.ts";

/** What got a name below the directory of checkpoints: the parts of its path, and what lies there. */
type Named = Readonly<{ path: readonly string[]; found: Inode; store: StoreName; part: PodPart }>;

/** Reads out of what gangs do to their files which shards are whole, and what the checkpoints hold that are made of them. */
export class ShardFacts {
  readonly #history: History;
  /** What each worker had in memory as it began to save a step, by run, attempt and step. */
  readonly #held = new Map<string, Map<number, string>>();

  constructor(history: History) {
    this.#history = history;
  }

  /** A worker begins to save. */
  saving({ run, attempt, worker }: PodPart, { step, content }: Readonly<{ step: number; content: string }>): void {
    const key = `${run} ${attempt} ${step}`;
    const held = this.#held.get(key) ?? new Map<number, string>();
    this.#held.set(key, held.set(worker, content));
  }

  /** Something was renamed to a path below the directory of checkpoints. */
  named({ path: [folder = "", inner = "", name], found, store, part }: Named): void {
    const place = parseShardsName(folder);
    if (place === null) return;
    const of = { ...part, store, ...place };
    const sealed = /^w(\d+)\.json$/.exec(inner)?.[1];
    if (sealed !== undefined) this.#history.note({ kind: "ShardSealed", ...of, worker: Number(sealed) });
    if (name !== manifestName || found.kind !== "file") return;
    const { digest } = fieldsOf(jsonOf(found.content.seen));
    const held = this.#held.get(`${part.run} ${place.attempt} ${place.step}`);
    if (typeof digest !== "string" || held === undefined) return;
    const shards = [...held].sort(([a], [b]) => a - b).map(([, content]) => content);
    this.#history.note({ kind: "Sealed", ...of, digest, content: together(shards), shards });
  }
}
