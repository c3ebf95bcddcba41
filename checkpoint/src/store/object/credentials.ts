import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../file-system.ts";
import { ObjectStoreError } from "./object-store-error.ts";

/** Keys of an object store, as they are now. */
export type Credentials = Readonly<{ accessKeyId: string; secretAccessKey: string; sessionToken: string | null }>;

const maxFileBytes = 64 * 1024;

/**
 * Reads the keys from a directory of files as a mounted Secret gives them: `accessKeyId`, `secretAccessKey` and, where
 * the keys are temporary, `sessionToken`. They are read anew for every request, so that a rotation needs no restart.
 */
export async function readCredentials(directory: string): Promise<Credentials> {
  const mounted = await mountedAt(directory);
  const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all([
    readKey(mounted, "accessKeyId"),
    readKey(mounted, "secretAccessKey"),
    readKey(mounted, "sessionToken"),
  ]);
  if (accessKeyId === null) throw missing(directory, "accessKeyId");
  if (secretAccessKey === null) throw missing(directory, "secretAccessKey");
  return { accessKeyId, secretAccessKey, sessionToken };
}

/** The certificate authority to trust for the store beside the usual ones, or null where the Secret has none. */
export async function readAuthority(directory: string): Promise<string | null> {
  return readKey(await mountedAt(directory), "ca.crt");
}

/**
 * The kubelet replaces all files of a Secret at once by moving the link `..data`. Following it first gives keys that
 * belong together even while they are being rotated.
 */
async function mountedAt(directory: string): Promise<string> {
  return realpath(join(directory, "..data")).catch(() => directory);
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
