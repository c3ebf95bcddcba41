import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../file-system.ts";
import { ObjectStoreError } from "./object-store-error.ts";

/** Keys of an object store, as they are now. */
export type Credentials = Readonly<{ accessKeyId: string; secretAccessKey: string; sessionToken: string | null }>;

/** What a mounted Secret says about a store: the keys, and the authority to trust beside the usual ones, or null. */
export type Access = Readonly<{ credentials: Credentials; authority: string | null }>;

const maxFileBytes = 64 * 1024;
const maxReads = 5;

/**
 * Reads the keys from a directory of files as a mounted Secret gives them: `accessKeyId`, `secretAccessKey` and, where
 * the keys are temporary, `sessionToken`; and `ca.crt`, where the Secret has one. They are read anew for every request,
 * so that a rotation needs no restart.
 *
 * The kubelet replaces all files of a Secret at once: it moves the link `..data` to a new directory, then removes the old
 * one. Files that were read while that happened may be missing, or belong to different keys: they are read again.
 */
export async function readAccess(directory: string): Promise<Access> {
  for (let reads = 1; ; reads += 1) {
    const mounted = await mountedAt(directory);
    const found = await readFiles(mounted);
    if (reads < maxReads && (await mountedAt(directory)) !== mounted) continue;
    const { accessKeyId, secretAccessKey, sessionToken, authority } = found;
    if (accessKeyId === null) throw missing(directory, "accessKeyId");
    if (secretAccessKey === null) throw missing(directory, "secretAccessKey");
    return { credentials: { accessKeyId, secretAccessKey, sessionToken }, authority };
  }
}

async function mountedAt(directory: string): Promise<string> {
  // A directory that no kubelet has made has no such link.
  return realpath(join(directory, "..data")).catch(() => directory);
}

async function readFiles(directory: string) {
  const [accessKeyId, secretAccessKey, sessionToken, authority] = await Promise.all([
    readKey(directory, "accessKeyId"),
    readKey(directory, "secretAccessKey"),
    readKey(directory, "sessionToken"),
    readKey(directory, "ca.crt"),
  ]);
  return { accessKeyId, secretAccessKey, sessionToken, authority };
}

async function readKey(directory: string, name: string): Promise<string | null> {
  try {
    const text = await readFile(join(directory, name), "utf8");
    return text.length > maxFileBytes || text.trim() === "" ? null : text.trim();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw new ObjectStoreError(
      "CredentialsMissing",
      `Cannot read ${name} in ${directory}: let the agent's user read the Secret's files`,
      { cause: error },
    );
  }
}

function missing(directory: string, name: string): ObjectStoreError {
  return new ObjectStoreError(
    "CredentialsMissing",
    `Cannot sign requests because ${join(directory, name)} is not there or is empty: put ${name} into the Secret that checkpoint.objectStore.credentialsSecretName names`,
  );
}
