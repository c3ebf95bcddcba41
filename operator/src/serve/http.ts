import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a check found: nothing, or the sentences that say what is wrong. */
export type Check = () => readonly string[];

export type HttpOptions = Readonly<{
  address: string;
  port: number;
  metrics: () => Promise<Readonly<{ contentType: string; body: string }>>;
  /** Whether the process works; a failure has it restarted. */
  healthy: Check;
  /** Whether it sees the cluster as it is. */
  ready: Check;
  /** What is to be known of a process that is ready. */
  notes: Check;
}>;

/** Serves `/metrics`, `/healthz` and `/readyz`; resolves once it listens. */
export async function serveHttp(options: HttpOptions): Promise<Readonly<{ port: number; close: () => Promise<void> }>> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    void answer(options, request, response);
  });
  server.maxConnections = 128;
  await listen(server, options);
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url?.split("?")[0];
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "only GET is answered\n");
  } else if (path === "/healthz") {
    check(response, options.healthy(), []);
  } else if (path === "/readyz") {
    check(response, options.ready(), options.notes());
  } else if (path === "/metrics") {
    try {
      const { contentType, body } = await options.metrics();
      send(response, 200, body, contentType);
    } catch (error) {
      send(response, 500, `the metrics cannot be collected: ${String(error)}\n`);
    }
  } else {
    send(response, 404, "known paths: /metrics, /healthz, /readyz\n");
  }
}

function check(response: ServerResponse, faults: readonly string[], notes: readonly string[]): void {
  if (faults.length === 0) send(response, 200, ["ok", ...notes, ""].join("\n"));
  else send(response, 503, `${faults.join("\n")}\n`);
}

function send(response: ServerResponse, status: number, body: string, contentType = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) }).end(body);
}

function listen(server: Server, { address, port }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
