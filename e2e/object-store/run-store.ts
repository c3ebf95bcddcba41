import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ObjectStore, openObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import type { ObjectStoreProblem } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import type { ObjectStoreAddress, Patience } from "@trainingrun/checkpoint/store/object/requests.ts";
import { onTestFinished } from "vitest";
import type { StoreAccess } from "./store-access.ts";

/** Quick to give up, and still tried often enough that one fault is got over. */
export const impatient: Patience = {
  requestMs: 2_000,
  bytesPerSecond: 16 * 1024 * 1024,
  tries: 3,
  firstPauseMs: 1,
  longestPauseMs: 10,
};

/** Keys in files, as a Secret is mounted. */
export interface MountedSecret {
  readonly directory: string;
  /** Replaces all files at once, as the kubelet does. */
  replace(files: Readonly<Record<string, string>>): Promise<void>;
}

/** Mounts a Secret in a directory that goes with the test. */
export async function mountSecret(files: Readonly<Record<string, string>>): Promise<MountedSecret> {
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-secret-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  let version: string | undefined;
  const replace: MountedSecret["replace"] = async (next) => {
    const before = version;
    version = `..${randomUUID()}`;
    await mkdir(join(directory, version));
    for (const [name, text] of Object.entries(next)) await writeFile(join(directory, version, name), text);
    await symlink(version, join(directory, "..next"));
    await rename(join(directory, "..next"), join(directory, "..data"));
    if (before !== undefined) await rm(join(directory, before), { recursive: true });
  };
  await replace(files);
  return { directory, replace };
}

/** The files of a Secret for these keys. */
export function secretOf({ accessKeyId, secretAccessKey }: StoreAccess): Record<string, string> {
  return { accessKeyId, secretAccessKey: `${secretAccessKey}\n` };
}

type Opening = Partial<Omit<ObjectStoreAddress, "credentials">> &
  Readonly<{ runUid?: string; prefix?: string; patience?: Patience; signal?: AbortSignal; secret?: MountedSecret }>;

/** Opens the object store of a run, of a new one unless told otherwise; it is closed with the test. */
export async function openRunStore(access: StoreAccess, opening: Opening = {}): Promise<ObjectStore> {
  const { secret = await mountSecret(secretOf(access)), ...options } = opening;
  const store = await openObjectStore({
    endpoint: access.endpoint,
    bucket: access.bucket,
    region: access.region,
    prefix: "runs",
    runUid: randomUUID(),
    patience: impatient,
    ...options,
    credentials: secret.directory,
  });
  onTestFinished(() => store.close());
  return store;
}

/** How work on an object store failed: its problem, and the sentence with what differs from run to run replaced. */
export async function failureOf(
  work: Promise<unknown>,
  access: StoreAccess,
): Promise<{ problem: ObjectStoreProblem; sentence: string }> {
  const error: unknown = await work.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ObjectStoreError)) throw error;
  const sentence = plainSentence(error.message, access);
  return { problem: error.problem, sentence };
}

/** A sentence without what differs from run to run, and from store to store: addresses, keys, and the store's own words. */
export function plainSentence(message: string, { endpoint }: Pick<StoreAccess, "endpoint">): string {
  return message
    .replaceAll(endpoint || "STORE", "STORE")
    .replaceAll(/https?:\/\/127\.0\.0\.1:\d+/g, "STORE")
    .replace(/ (run-|runs\/|template-)\S+/, " KEY")
    .replaceAll(/ \([^)]*\)/g, "");
}
