import { readFile, readlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { errorCode } from "../file-system.ts";
import { ObjectStoreError } from "./object-store-error.ts";

/** Keys of an object store, as they are now. */
export type Credentials = Readonly<{ accessKeyId: string; secretAccessKey: string; sessionToken: string | null }>;

/** What a mounted Secret says about a store: the keys, and the authority to trust beside the usual ones, or null. */
export type Access = Readonly<{ credentials: Credentials; authority: string | null }>;

const maxFileBytes = 64 * 1024;
const maxReads = 5;

/**
 * The keys in a directory of files as a mounted Secret gives them: `accessKeyId`, `secretAccessKey` and, where the keys
 * are temporary, `sessionToken`; and `ca.crt`, where the Secret has one. They are asked for anew for every request, so
 * that a rotation needs no restart.
 *
 * The kubelet replaces all files of a Secret at once: it puts them into a new directory, which no other had the name of,
 * moves the link `..data` there, then removes the old one. So nothing is read as long as the link leads where it did.
 * Files that were read while it moved may be missing, or belong to different keys: they are read again. Files that no
 * kubelet has put there may change at any moment, and are read each time.
 */
export class MountedAccess {
  readonly #directory: string;
  #known: Readonly<{ mounted: string; access: Access }> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What the Secret says now. */
  async current(): Promise<Access> {
    for (let reads = 1; ; reads += 1) {
      const mounted = await this.#mounted();
      if (mounted !== null && this.#known?.mounted === mounted) return this.#known.access;
      const found = await readFiles(mounted ?? this.#directory);
      const isStill = (await this.#mounted()) === mounted;
      if (!isStill && reads < maxReads) continue;
      const access = accessOf(found, this.#directory);
      this.#known = mounted !== null && isStill ? { mounted, access } : null;
      return access;
    }
  }

  /** Where the files lie now; null in a directory that no kubelet has made, which has no such link. */
  async #mounted(): Promise<string | null> {
    return readlink(join(this.#directory, "..data")).then(
      (target) => resolve(this.#directory, target),
      () => null,
    );
  }
}

type Files = Awaited<ReturnType<typeof readFiles>>;

function accessOf({ accessKeyId, secretAccessKey, sessionToken, authority }: Files, directory: string): Access {
  if (accessKeyId === null) throw missing(directory, "accessKeyId");
  if (secretAccessKey === null) throw missing(directory, "secretAccessKey");
  return { credentials: { accessKeyId, secretAccessKey, sessionToken }, authority };
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
