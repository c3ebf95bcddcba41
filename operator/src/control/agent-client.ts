import { AgentState, agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { Agent, type Dispatcher } from "undici";
import { within } from "../kubernetes/within.ts";

/** Which agent is meant. Addresses are reused: an agent refuses uids that are not its own. */
export type AgentAddress = Readonly<{ ip: string; runUid: string; podUid: string }>;

/** An agent that gave no usable answer. Training goes on without one. */
export class AgentUnreachableError extends Error {
  override readonly name = "AgentUnreachableError";
}

/** Asks the agents in the training pods. */
export class AgentClient {
  readonly #dispatcher: Dispatcher;
  readonly #timeoutMs: number;
  readonly #port: number;

  /** Where a dispatcher is given, its connections are used instead of ones of its own. It is closed with the client. */
  constructor(options: Readonly<{ timeoutMs: number; port?: number; dispatcher?: Dispatcher }>) {
    const { timeoutMs, port = agentPort, dispatcher } = options;
    this.#timeoutMs = timeoutMs;
    this.#port = port;
    this.#dispatcher =
      dispatcher ?? new Agent({ connections: 1, keepAliveTimeout: 10_000, connect: { timeout: timeoutMs } });
  }

  /** What the agent knows now. */
  async state(address: AgentAddress, signal: AbortSignal): Promise<AgentState> {
    const body = await this.#ask("GET", "/v1/state", address, signal);
    const parsed = AgentState.safeParse(parseJson(body));
    if (!parsed.success) throw unreachable(address, `its answer is no state: ${parsed.error.issues[0]?.message ?? ""}`);
    const { runUid, podUid } = parsed.data;
    if (runUid !== address.runUid || podUid !== address.podUid)
      throw unreachable(address, `it is the agent of pod ${podUid}`);
    return parsed.data;
  }

  /** Asks for a save at the trainer's next step. Repeating it asks for the same save. */
  async requestSave(address: AgentAddress, signal: AbortSignal): Promise<void> {
    await this.#ask("POST", "/v1/save", address, signal);
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #ask(method: "GET" | "POST", path: string, address: AgentAddress, signal: AbortSignal): Promise<string> {
    const host = address.ip.includes(":") ? `[${address.ip}]` : address.ip;
    const query = new URLSearchParams({ run: address.runUid, pod: address.podUid });
    const origin = `http://${host}:${this.#port}`;
    const { statusCode, body } = await within(this.#timeoutMs, signal, async (signal) => {
      const answer = await this.#dispatcher.request({ origin, path: `${path}?${query}`, method, signal });
      return { statusCode: answer.statusCode, body: await text(answer.body) };
    }).catch((cause: unknown) => {
      throw unreachable(address, String(cause), cause);
    });
    if (statusCode < 200 || statusCode > 299) {
      throw unreachable(address, `it answered ${statusCode}: ${body.slice(0, 200)}`);
    }
    return body;
  }
}

const longestAnswerBytes = 1024 * 1024;

async function text(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > longestAnswerBytes) throw new RangeError(`the answer is longer than ${longestAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // No JSON is no state; the schema says so.
    return undefined;
  }
}

function unreachable(address: AgentAddress, why: string, cause?: unknown): AgentUnreachableError {
  return new AgentUnreachableError(`Cannot ask the agent of pod ${address.podUid} at ${address.ip} because ${why}`, {
    cause,
  });
}
