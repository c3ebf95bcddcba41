import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { systemNamespace } from "../harness/installation.ts";

/** A write that came to the API server, as its audit log has it. */
export type AuditedWrite = Readonly<{
  isOperators: boolean;
  /** Such as `patch trainingruns/status`. */
  what: string;
  namespace: string;
  atMs: number;
  /** Whether the server took it. */
  isTaken: boolean;
}>;

/** From when to when, in epoch milliseconds. */
export type Window = Readonly<{ fromMs: number; toMs: number }>;

const Line = z.object({
  stage: z.string(),
  verb: z.string(),
  user: z.object({ username: z.string() }),
  objectRef: z
    .object({ resource: z.string(), namespace: z.string().default(""), subresource: z.string().optional() })
    .optional(),
  responseStatus: z.object({ code: z.int() }).optional(),
  requestReceivedTimestamp: z.string(),
});

const writing = /"verb":"(create|update|patch|delete|deletecollection)"/;
const operator = `system:serviceaccount:${systemNamespace}:`;

/** The write of a line of an audit log; null for what is none, and for what a server only tried out. */
export function writeOf(line: string): AuditedWrite | null {
  // Most lines are of reads, and parsing is most of the work.
  if (!writing.test(line)) return null;
  const { stage, verb, user, objectRef, responseStatus, requestReceivedTimestamp } = Line.parse(JSON.parse(line));
  if (stage !== "ResponseComplete" || objectRef === undefined || line.includes("dryRun=All")) return null;
  const { resource, subresource, namespace } = objectRef;
  return {
    isOperators: user.username.startsWith(operator),
    what: `${verb} ${subresource === undefined ? resource : `${resource}/${subresource}`}`,
    namespace,
    atMs: Date.parse(requestReceivedTimestamp),
    isTaken: (responseStatus?.code ?? 500) < 300,
  };
}

/** The writes to the namespaces of a cluster that was brought up with `audit: "requests"`, in the order in which they ended. */
export async function auditedWrites(clusterDirectory: string): Promise<readonly AuditedWrite[]> {
  const writes: AuditedWrite[] = [];
  const input = createReadStream(join(clusterDirectory, "logs", "audit.log"));
  for await (const line of createInterface({ input })) {
    // The last line may be only half written.
    const write = line.endsWith("}") ? writeOf(line) : null;
    if (write !== null && write.namespace !== "") writes.push(write);
  }
  return writes;
}

/** Those of a namespace that came within a window. */
export function writesWithin(
  writes: readonly AuditedWrite[],
  namespace: string,
  { fromMs, toMs }: Window,
): readonly AuditedWrite[] {
  return writes.filter((write) => write.namespace === namespace && write.atMs >= fromMs && write.atMs < toMs);
}
