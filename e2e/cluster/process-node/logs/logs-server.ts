import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { issue, makeAuthority } from "../../control-plane/certificates.ts";
import type { NodePods } from "../node-pods.ts";
import { readLog } from "./log-reader.ts";

/** A running logs server. */
export interface LogsServer {
  readonly port: number;
  stop(): Promise<void>;
}

const count = z.coerce.number().pipe(z.int().min(0)).optional();
const Query = z.object({
  follow: z.stringbool().default(false),
  previous: z.stringbool().default(false),
  tailLines: count,
  limitBytes: count,
});

/**
 * Serves `kubectl logs`: the one part of a kubelet's own API that people use every day. It listens on the node's
 * loopback address and asks nobody who they are, like the log files themselves on a machine of one's own.
 */
export async function startLogsServer(options: {
  readonly address: string;
  readonly directory: string;
  readonly pods: NodePods;
  readonly onError: (error: unknown) => void;
}): Promise<LogsServer> {
  const authority = await makeAuthority(join(options.directory, "certificates"));
  const { certificatePath, keyPath } = await issue(authority, {
    name: "logs",
    commonName: "process-node",
    hosts: [options.address],
  });
  const stopping = new AbortController();
  const [cert, key] = await Promise.all([readFile(certificatePath), readFile(keyPath)]);
  const server = createServer({ cert, key }, (incoming, response) => {
    answer(incoming, response, { pods: options.pods, signal: stopping.signal }).catch((error: unknown) => {
      response.destroy();
      if (!stopping.signal.aborted) options.onError(error);
    });
  });
  server.listen(0, options.address);
  await once(server, "listening");
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error(`Cannot serve logs on ${options.address}`);
  return {
    port: bound.port,
    stop: async () => {
      stopping.abort();
      server.closeAllConnections();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

async function answer(
  incoming: IncomingMessage,
  response: ServerResponse,
  { pods, signal }: { pods: NodePods; signal: AbortSignal },
): Promise<void> {
  const url = new URL(incoming.url ?? "/", "https://node");
  const [, kind, namespace = "", podName = "", container = ""] = url.pathname.split("/").map(decodeURIComponent);
  if (kind !== "containerLogs") {
    refuse(response, 404, `Cannot serve ${url.pathname} because a process node serves only containerLogs`);
    return;
  }
  const query = Query.safeParse(Object.fromEntries(url.searchParams));
  if (!query.success) {
    refuse(response, 400, `Cannot serve logs: ${z.prettifyError(query.error)}`);
    return;
  }
  const runner = pods.findByName(namespace, podName);
  const { follow, previous, tailLines, limitBytes } = query.data;
  const path = runner?.logPath(container, previous ? 1 : 0);
  if (runner === undefined || path === undefined) {
    const what = previous ? "previous run of container" : "run of container";
    refuse(response, 400, `Cannot show logs because no ${what} "${container}" in pod "${podName}" has begun`);
    return;
  }
  const mayGrow = follow ? () => runner.isRunning(container) : undefined;
  const closed = new AbortController();
  response.once("close", () => closed.abort());
  response.writeHead(200, { "content-type": "text/plain" });
  response.flushHeaders();
  await pipeline(readLog({ path, tailLines, limitBytes, mayGrow }, AbortSignal.any([signal, closed.signal])), response);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "text/plain" }).end(message);
}
