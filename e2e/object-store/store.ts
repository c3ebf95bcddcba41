import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Authority, issue, type KeyPair } from "../cluster/control-plane/certificates.ts";
import { freePorts } from "../cluster/host/ports.ts";
import { type Child, startChild, waitFor } from "../cluster/processes/child.ts";
import type { ProcessIdentity } from "../cluster/processes/process-identity.ts";
import { minio } from "./minio.ts";
import { type Credentials, type StoreAccess, storeClient } from "./store-access.ts";
import type { Rights, StoreProgram, StoreUser } from "./store-program.ts";
import { versitygw } from "./versitygw.ts";

const programs = { versitygw, minio } satisfies Record<string, StoreProgram>;

/** The kinds of S3 server that the tests run against. Neither was written here. */
export type StoreKind = keyof typeof programs;

/** All kinds, for tables of tests. */
export const storeKinds: readonly StoreKind[] = ["versitygw", "minio"];

/** What a bucket keeps of what was overwritten or deleted: nothing, every version, or every version and locks on them. */
export type BucketHistory = "None" | "Versioned" | "Locked";

/** How to start a store. */
export interface StoreOptions {
  /** The server's objects, keys and log go below it; the caller removes it. */
  readonly directory: string;
  readonly bucket?: string;
  readonly history?: BucketHistory;
  /** The address to listen at; 127.0.0.1 unless others than this machine's processes have to reach it. */
  readonly host?: string;
  /** Serve https, with a certificate for 127.0.0.1 and localhost that this authority signs. */
  readonly authority?: Authority;
  readonly signal?: AbortSignal;
}

const readyWithinMs = 30_000;
const probeLimitMs = 2_000;
const loopback = "127.0.0.1";

/** Starts a server of this kind on a free port, waits until it serves, and makes the bucket. */
export async function startStore(kind: StoreKind, options: StoreOptions): Promise<ObjectStore> {
  const { authority, directory, host = loopback } = options;
  const [port] = await freePorts(1, host);
  const tls =
    authority && (await issue(authority, { name: `store-${port}`, commonName: kind, hosts: [host, "localhost"] }));
  const store = new ObjectStore({
    program: programs[kind],
    directory,
    tls,
    access: {
      endpoint: `${authority ? "https" : "http"}://${host}:${port}`,
      ...newCredentials(),
      region: "us-east-1",
      bucket: options.bucket ?? "checkpoints",
      caPath: authority?.certificatePath,
    },
  });
  try {
    await store.start(options.signal);
    await store.makeBucket(options.bucket ?? "checkpoints", options.history);
    return store;
  } catch (error) {
    await store.stop();
    throw error;
  }
}

interface StoreParts {
  readonly program: StoreProgram;
  readonly directory: string;
  readonly tls: KeyPair | undefined;
  readonly access: StoreAccess;
}

/** A real S3 server with one bucket. It can be stopped and started again: same address, same objects, same users. */
export class ObjectStore implements AsyncDisposable {
  /** As the root, who may do everything. */
  readonly access: StoreAccess;
  readonly logPath: string;
  readonly #parts: StoreParts;
  readonly #users: StoreUser[] = [];
  #child: Child | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.access = parts.access;
    this.logPath = join(parts.directory, `${parts.program.name}.log`);
  }

  /** The server's process; undefined while it is stopped. */
  get process(): ProcessIdentity | undefined {
    return this.#child?.identity;
  }

  /**
   * Starts the server and waits until it serves; does nothing when it runs.
   *
   * @throws {ComponentFailed} with the end of its log when it does not come up.
   */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#child !== undefined) return;
    const { program, directory, tls, access } = this.#parts;
    const address = new URL(access.endpoint).host;
    const command = await program.prepare({ address, directory, root: access, region: access.region, tls });
    const child = startChild({ name: program.name, ...command, logPath: this.logPath });
    this.#child = child;
    try {
      const probe = () => this.#serves();
      await waitFor(child, { what: "its first answer", probe, timeoutMs: readyWithinMs, signal });
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends the server; what it holds stays. Repeats are harmless. */
  async stop(): Promise<void> {
    await this.#child?.stop();
    this.#child = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Makes another bucket. */
  async makeBucket(bucket: string, history: BucketHistory = "None"): Promise<void> {
    const client = storeClient(this.access);
    await client.makeBucket(bucket, this.access.region, { ObjectLocking: history === "Locked" });
    if (history === "Versioned") await client.setBucketVersioning(bucket, { Status: "Enabled" });
  }

  /** Makes a user with these rights on the bucket, and returns how that user reaches it. */
  async addUser(rights: Rights): Promise<StoreAccess> {
    const user = { ...newCredentials(), rights };
    const users = [...this.#users, user];
    await this.#parts.program.addUser(this.access, { user, users });
    this.#users.push(user);
    return { ...this.access, accessKeyId: user.accessKeyId, secretAccessKey: user.secretAccessKey };
  }

  /** Takes a user's keys away: what is signed with them is refused from now on. */
  async removeUser(accessKeyId: string): Promise<void> {
    const index = this.#users.findIndex((user) => user.accessKeyId === accessKeyId);
    const user = this.#users[index];
    if (user === undefined) throw new Error(`Cannot remove user ${accessKeyId}: this store has not made it`);
    await this.#parts.program.removeUser(this.access, { user, users: this.#users.toSpliced(index, 1) });
    this.#users.splice(index, 1);
  }

  /** By a signed request: a port that listens, and even a health page, comes before a server that serves. */
  async #serves(): Promise<boolean> {
    const answered = storeClient(this.access).listBuckets();
    // The client has no time limit of its own.
    return await Promise.race([
      answered.then(
        () => true,
        () => false,
      ),
      delay(probeLimitMs, false, { ref: false }),
    ]);
  }
}

function newCredentials(): Credentials {
  return { accessKeyId: `test${randomBytes(8).toString("hex")}`, secretAccessKey: randomBytes(20).toString("hex") };
}
