import { workerName } from "./directory-name.ts";
import { brokenPathRule, brokenPathsRule } from "./file-path.ts";
import type { FileSource } from "./file-source.ts";
import { limits } from "./limits.ts";
import type { ManifestDraft } from "./manifest.ts";
import { manifestSize } from "./manifest-size.ts";

type Room = Readonly<{
  /** What the manifest says beside its files. */
  about: Omit<ManifestDraft, "files">;
  /** Whose files they are in a gang: each worker has its share of one manifest. */
  share?: Readonly<{ worker: number; workers: number }>;
}>;

/** The rule that these files break together, or null where a manifest has room for them. */
export function brokenFilesRule(sources: readonly FileSource[], { about, share }: Room): string | null {
  const workers = share?.workers ?? 1;
  const whose = share === undefined ? "a checkpoint" : `the shard of one of ${workers} workers`;
  if (workers > limits.workers) return `a gang has at most ${limits.workers} workers: ${workers}`;
  const prefix = share === undefined ? "" : `${workerName(share.worker)}/`;
  const files = sources.map(({ path, kind, bytes }) => ({ path: `${prefix}${path}`, kind, bytes }));
  const mostFiles = Math.floor(limits.files / workers);
  if (files.length === 0) return `${whose} has at least one file`;
  if (files.length > mostFiles) return `${whose} has at most ${mostFiles} files`;
  for (const { path } of files) {
    const broken = brokenPathRule(path);
    if (broken !== null) return `${broken}: ${JSON.stringify(path).slice(0, 200)}`;
  }
  const broken = brokenPathsRule(files.map(({ path }) => path));
  if (broken !== null) return broken;
  for (const { path, kind, bytes } of files) {
    if (kind !== "json" || bytes <= limits.jsonBytes) continue;
    return `a file of JSON has at most ${limits.jsonBytes} bytes, and ${path} has ${bytes}`;
  }
  // Its health may be known only when every tensor has been looked through: what it may take at most is left free.
  const most = Math.floor((limits.manifestBytes - 2 * limits.nonFiniteBytes) / workers);
  const size = manifestSize({ ...about, ...(share === undefined ? {} : { workers }), files });
  if (size <= most) return null;
  const manifest =
    share === undefined
      ? `a manifest has at most ${limits.manifestBytes} bytes, and that of these ${files.length} files may have ${size + 2 * limits.nonFiniteBytes}`
      : `the part of one of ${workers} workers in a manifest has at most ${most} bytes, and that of these ${files.length} files has ${size}`;
  return `${manifest}: save fewer files, or under shorter names`;
}
