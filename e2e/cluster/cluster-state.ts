import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** The ways to a Kubernetes cluster, in the order in which they are tried. */
export const ways = ["given", "kind", "containers", "processes"] as const;

/** One of {@link ways}. */
export type Way = (typeof ways)[number];

const processImage = z.object({
  entrypoint: z.array(z.string()).readonly(),
  env: z.record(z.string(), z.string()).readonly(),
  workingDirectory: z.string(),
  paths: z.record(z.string(), z.string()).readonly().optional(),
});

/** What stands for each image on process nodes. */
export const processImagesSchema = z.record(z.string(), processImage);

const nodeSettings = z.object({
  name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/),
  /** Resources beyond what the machine has: `{ "nvidia.com/gpu": "1" }`. */
  resources: z.record(z.string(), z.string()),
});

const settingsSchema = z.object({
  way: z.enum(ways),
  nodes: z.array(nodeSettings).min(1).max(32),
  /** What stands for each image on process nodes. */
  processImages: processImagesSchema,
  nodeMonitorGraceSeconds: z.number().int().positive(),
  audit: z.enum(["requests", "off"]),
});

const identity = z.object({ pid: z.number().int(), startTime: z.string() });

const stateSchema = z.object({
  phase: z.enum(["starting", "ready", "failed"]),
  /** Why it failed. */
  error: z.string().optional(),
  way: z.enum(ways),
  /** Where the cluster is: {@link clusterDirectory}. */
  directory: z.string(),
  kubeconfigPath: z.string(),
  /** The process in which the cluster's parts are started, watched and ended. */
  supervisor: identity.optional(),
  processes: z.array(identity.extend({ name: z.string() })),
  nodes: z.array(
    z.object({
      name: z.string(),
      directory: z.string(),
      /** Of container nodes: the process that holds the namespaces, a target for `nsenter --net --mount`. */
      anchor: identity.optional(),
    }),
  ),
});

/** What a cluster was asked to be. */
export type ClusterSettings = z.infer<typeof settingsSchema>;

/** What a node was asked to be. */
export type NodeSettings = z.infer<typeof nodeSettings>;

/** What a cluster is, and all that is needed to end it from another process, also after a crash of the first. */
export type ClusterState = z.infer<typeof stateSchema>;

/** A file of a cluster is there and says nothing: a crash of the machine cut it short, or another version wrote it. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

/** Reads what the cluster in a directory is; undefined when there is none. @throws {Unreadable} */
export function readState(directory: string): Promise<ClusterState | undefined> {
  return read(join(directory, "state.json"), stateSchema);
}

/** Writes what the cluster in a directory is. */
export function writeState(directory: string, state: ClusterState): Promise<void> {
  return write(join(directory, "state.json"), state);
}

/** Whether a cluster was ever started in a directory. */
export function hasCluster(directory: string): boolean {
  return ["settings.json", "state.json"].some((name) => existsSync(join(directory, name)));
}

/** Reads what the cluster in a directory was asked to be; undefined when there is none. @throws {Unreadable} */
export function readSettings(directory: string): Promise<ClusterSettings | undefined> {
  return read(join(directory, "settings.json"), settingsSchema);
}

/** Writes what the cluster in a directory is to be. */
export async function writeSettings(directory: string, settings: ClusterSettings): Promise<void> {
  await write(join(directory, "settings.json"), settingsSchema.parse(settings));
}

async function read<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Unreadable(`Cannot read ${path}; \`down\` removes the cluster, \`up\` starts another: ${cause}`, {
      cause,
    });
  }
}

async function write(path: string, value: unknown): Promise<void> {
  // Renamed into place: a reader in another process never sees half of it.
  await writeFile(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.new`, path);
}
