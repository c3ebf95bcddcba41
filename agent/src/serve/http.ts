import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";

/** What the server answers with; it decides nothing itself. */
export type Answers = Readonly<{
  runUid: string;
  podUid: string;
  state(): Promise<AgentState>;
  metrics(): Promise<Readonly<{ contentType: string; text: string }>>;
  requestSave(): Promise<void>;
}>;

type Reply = Readonly<{ status: number; body: string; type?: string; allow?: string }>;

/** Listens for the operator and for Prometheus; rejects when the address cannot be listened on. */
export async function listen(answers: Answers, options: { host: string; port: number }): Promise<Server> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 60_000 },
    (request, response) => {
      // A body is never needed; it is read to its end so that the connection can be used again.
      request.resume();
      reply(answers, request).then(
        (answer) => send(response, answer),
        (error: unknown) => send(response, failure(500, error instanceof Error ? error.message : String(error))),
      );
    },
  );
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error) => console.error(`The agent's server goes on after an error: ${error.message}`));
  return server;
}

async function reply(answers: Answers, request: IncomingMessage): Promise<Reply> {
  const url = new URL(request.url ?? "/", "http://agent");
  const method = request.method ?? "GET";
  switch (url.pathname) {
    case "/healthz":
      return method === "GET" ? { status: 200, body: "ok\n", type: "text/plain" } : wrongMethod("GET");
    case "/metrics": {
      if (method !== "GET") return wrongMethod("GET");
      const { contentType, text } = await answers.metrics();
      return { status: 200, body: text, type: contentType };
    }
    case "/v1/state":
      if (method !== "GET") return wrongMethod("GET");
      return misaddressed(answers, url.searchParams) ?? { status: 200, body: JSON.stringify(await answers.state()) };
    case "/v1/save": {
      if (method !== "POST") return wrongMethod("POST");
      const refusal = misaddressed(answers, url.searchParams);
      if (refusal) return refusal;
      await answers.requestSave();
      return { status: 202, body: JSON.stringify({ requested: true }) };
    }
    default:
      return failure(404, `Cannot answer because there is no such path here: ${url.pathname}`);
  }
}

/** Pod addresses are reused: who asks must name the run and the pod that it means (I7). */
function misaddressed(answers: Answers, asked: URLSearchParams): Reply | null {
  for (const [name, own] of [
    ["run", answers.runUid],
    ["pod", answers.podUid],
  ] as const) {
    const value = asked.get(name);
    if (!value) return failure(400, `Cannot answer because the query must name run and pod by uid: ${name} is missing`);
    if (value !== own) {
      return failure(409, `Cannot answer for ${name} ${value} because this agent belongs to ${name} ${own}`);
    }
  }
  return null;
}

function wrongMethod(allow: string): Reply {
  return { ...failure(405, `Cannot answer because this path takes ${allow} only`), allow };
}

function failure(status: number, error: string): Reply {
  return { status, body: JSON.stringify({ error }) };
}

function send(response: ServerResponse, { status, body, type = "application/json", allow }: Reply): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...(allow ? { allow } : {}),
  });
  response.end(body);
}
