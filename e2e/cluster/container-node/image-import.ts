import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { enter } from "../host/namespaces.ts";
import type { Image } from "../images/images.ts";
import { run } from "../processes/command.ts";
import { isAlive, type ProcessIdentity } from "../processes/process-identity.ts";

/** A container node as seen from outside the process that started it. */
export interface ImportTarget {
  readonly name: string;
  /** The node's directory: what was imported is noted there. */
  readonly directory: string;
  /** The process that holds its namespaces. */
  readonly anchor: ProcessIdentity;
}

const timeoutMs = 5 * 60_000;

/** Makes an image known to a node, unless the node has just this one under that tag already. */
export async function importImage(node: ImportTarget, image: Image): Promise<void> {
  const notes = join(node.directory, "images");
  const note = join(notes, image.tag.replaceAll(/[^\w.-]/g, "_"));
  if (existsSync(note) && (await readFile(note, "utf8")) === image.id) return;
  const command = ["ctr", "--namespace", "k8s.io", "images", "import", "--digests=false", image.archivePath];
  // Its pid may be another process by now, and we would enter that one's namespaces.
  if (!isAlive(node.anchor)) throw new Error(`Cannot import ${image.tag} into ${node.name}: the node does not run`);
  await run("nsenter", enter(node.anchor.pid, ["net", "mount"], command), { timeoutMs });
  await mkdir(notes, { recursive: true });
  await writeFile(note, image.id);
}
