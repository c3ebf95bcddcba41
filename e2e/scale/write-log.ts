import { createReadStream } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

/** Requests that may change something, by who sent them: the server took or refused them. */
export type Writes = Readonly<Record<string, number>>;

const lookEveryMs = 500;
/** So long without any write, and what was begun has come to its end. */
const quietMs = 3_000;
const longestWaitMs = 120_000;

/** Everything is left out but writes to objects: leases and reviews are about the machinery itself. */
const policy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  omitManagedFields: true,
  rules: [
    { level: "None", verbs: ["get", "list", "watch"] },
    { level: "None", resources: [{ group: "coordination.k8s.io" }] },
    { level: "None", nonResourceURLs: ["*"] },
    { level: "Metadata" },
  ],
};

const Entry = z.object({
  user: z.object({ username: z.string() }),
  userAgent: z.string().default(""),
  objectRef: z.object({ namespace: z.string().optional(), resource: z.string().optional() }).optional(),
});

/** The audit log of an API server, as a count of writes in one namespace. */
export class WriteLog {
  readonly #path: string;
  readonly #namespace: string;
  #readUntil = 0;

  constructor(path: string, namespace: string) {
    this.#path = path;
    this.#namespace = namespace;
  }

  /** The flags by which an API server writes such a log; the policy is written beside it. */
  static async flags(path: string): Promise<readonly string[]> {
    const policyPath = `${path}.policy.json`;
    await writeFile(policyPath, JSON.stringify(policy));
    // A log that goes on in another file is not followed.
    return [`--audit-log-path=${path}`, `--audit-policy-file=${policyPath}`, "--audit-log-maxsize=100000"];
  }

  /** Resolves when nobody has written for a while; rejects where somebody never ends to. */
  async settled(signal: AbortSignal): Promise<void> {
    const endsAt = performance.now() + longestWaitMs;
    let seen = { size: -1, at: performance.now() };
    while (performance.now() - seen.at < quietMs) {
      if (performance.now() > endsAt) throw new Error(`Cannot count writes: they go on after ${longestWaitMs} ms`);
      await delay(lookEveryMs, undefined, { signal });
      const { size } = await stat(this.#path);
      if (size !== seen.size) seen = { size, at: performance.now() };
    }
  }

  /** The writes since the last call. */
  async take(): Promise<Writes> {
    const writes: Record<string, number> = {};
    const { size } = await stat(this.#path);
    if (size === this.#readUntil) return writes;
    const input = createReadStream(this.#path, { start: this.#readUntil, end: size - 1 });
    this.#readUntil = size;
    for await (const line of createInterface({ input })) {
      const who = writerOf(line, this.#namespace);
      if (who !== undefined) writes[who] = (writes[who] ?? 0) + 1;
    }
    return writes;
  }
}

/** Who sent a write of the log; undefined where it was to another namespace. */
export function writerOf(line: string, namespace: string): string | undefined {
  const { user, userAgent, objectRef } = Entry.parse(JSON.parse(line));
  if (objectRef?.namespace !== namespace) return undefined;
  const account = user.username.startsWith("system:") ? user.username.split(":").at(-1) : undefined;
  const who = account ?? userAgent.split("/")[0] ?? "";
  return objectRef.resource === "events" ? `${who}, events` : who;
}
