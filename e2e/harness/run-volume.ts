import { open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import type { RunView } from "./run-view.ts";

/** A run's directory on its volume, as this machine sees it. */
export type RunVolume = Readonly<{ directory: string }>;

const Claim = z.object({ spec: z.object({ volumeName: z.string().optional() }) });
const Volume = z.object({
  spec: z.object({
    local: z.object({ path: z.string() }).optional(),
    hostPath: z.object({ path: z.string() }).optional(),
  }),
});

/** Finds the directory of a run whose claim was made from its template. */
export async function findRunVolume(api: ApiClient, run: RunView): Promise<RunVolume> {
  const { name, namespace, uid } = run.metadata;
  const root = await findClaimDirectory(api, namespace, `${name}-${uid.slice(0, 8)}`);
  if (root === undefined) throw new Error(`Cannot find the volume of run ${name}: its claim is not bound`);
  return { directory: join(root, uid) };
}

/** The directory of this machine behind a claim; undefined until it is bound. Only a cluster of this machine has one. */
export async function findClaimDirectory(
  api: ApiClient,
  namespace: string,
  claim: string,
): Promise<string | undefined> {
  const { spec } = Claim.parse(
    await api.expect("GET", `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${claim}`),
  );
  if (spec.volumeName === undefined) return undefined;
  const volume = Volume.parse(await api.expect("GET", `/api/v1/persistentvolumes/${spec.volumeName}`));
  const path = volume.spec.local?.path ?? volume.spec.hostPath?.path;
  if (path === undefined)
    throw new Error(`Cannot find the directory behind volume ${spec.volumeName}: it names no path`);
  return path;
}

/** Whether a save is under way: a `.saving-` directory stands beside the finished checkpoints. */
export async function saveInFlight(volume: RunVolume): Promise<boolean> {
  const names = await readdir(join(volume.directory, "data")).catch(() => []);
  return names.some((name) => name.startsWith(".saving-"));
}

const ManifestFiles = z.object({ step: z.int(), files: z.array(z.object({ path: z.string(), digest: z.string() })) });

/**
 * The digest of the weights in the checkpoint of a step: of `model.safetensors`, which holds the model's tensors in a
 * fixed order and nothing that differs between attempts. Two trainings ended alike when these are equal.
 */
export async function weightsDigest(
  volume: RunVolume,
  checkpoint: Readonly<{ step: number; attempt: number }>,
): Promise<string> {
  const text = await readFile(join(checkpointDirectory(volume, checkpoint), "MANIFEST.json"), "utf8");
  const weights = ManifestFiles.parse(JSON.parse(text)).files.find(({ path }) => path === "model.safetensors");
  if (weights === undefined)
    throw new Error(`Cannot compare weights: step ${checkpoint.step} lists no model.safetensors`);
  return weights.digest;
}

const Environment = z.object({ backend: z.string(), device: z.record(z.string(), z.union([z.string(), z.number()])) });

/** What computed the checkpoint of a step, such as `tensorflow-cpu`, and what is known of it, by its `environment.json`. */
export async function backendOf(
  volume: RunVolume,
  checkpoint: Readonly<{ step: number; attempt: number }>,
): Promise<z.infer<typeof Environment>> {
  return Environment.parse(
    JSON.parse(await readFile(join(checkpointDirectory(volume, checkpoint), "environment.json"), "utf8")),
  );
}

/** Removes everything that a run has on its volume, as a new and empty volume would have it. */
export async function wipe({ directory }: RunVolume): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
}

/** Flips the lowest bit of the middle byte of a checkpoint's weights, behind everyone's back. Returns what it did. */
export async function flipOneBit(
  volume: RunVolume,
  checkpoint: Readonly<{ step: number; attempt: number }>,
): Promise<string> {
  const path = join(checkpointDirectory(volume, checkpoint), "model.safetensors");
  await using file = await open(path, "r+");
  const position = Math.floor((await file.stat()).size / 2);
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, position);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, position);
  await file.sync();
  return `bit 0 of byte ${position} of model.safetensors at step ${checkpoint.step}`;
}

function checkpointDirectory(
  volume: RunVolume,
  { step, attempt }: Readonly<{ step: number; attempt: number }>,
): string {
  return join(volume.directory, "data", `step-${String(step).padStart(12, "0")}-a${String(attempt).padStart(4, "0")}`);
}
