import { Dispatcher } from "undici";
import { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { RequestLimit } from "../src/kubernetes/request-limit.ts";

/** An answer in whole, an error instead of one, or a watch that is open and says nothing. */
export type Scripted = Readonly<{ status: number; body: unknown }> | Error | "Open";

/** What was asked: `GET /api/v1/pods?watch=true`, and what was sent with it. */
export type Asked = Readonly<{ method: string; path: string; body: unknown }>;

/** A client whose server is a function. Nothing is repeated unless the script's caller does. */
export function scriptedClient(script: (asked: Asked) => Scripted): ApiClient {
  const dispatcher = new ScriptedDispatcher(script);
  return new ApiClient({
    credentials: {
      current: async () => ({ server: "https://127.0.0.1:1", headers: {}, dispatcher }),
      expire: () => undefined,
    },
    limit: new RequestLimit({ perSecond: 10_000, burst: 10_000, inFlight: 64 }),
    retry: { tries: 1, backoff: { firstMs: 1, maxMs: 1, random: () => 0 }, longestRetryAfterMs: 1 },
    timeoutMs: 10_000,
    userAgent: "test",
  });
}

/** An object as the server gives it after a write of its status, and as it is after any other. */
export function patched(object: KubeObject, { path, body }: Asked): KubeObject {
  if (!path.split("?")[0]?.endsWith("/status")) return object;
  return { ...object, status: { ...(object.status as object), ...((body as KubeObject).status as object) } };
}

/** A whole list of one of the kinds that the operator watches. */
export function listed(path: string, items: readonly unknown[] = []): Scripted {
  const kind = Object.entries(kinds).find(([plural]) => path.includes(`/${plural}?`))?.[1];
  return { status: 200, body: { kind: `${kind}List`, metadata: { resourceVersion: "7" }, items } };
}

const kinds = {
  trainingruns: "TrainingRun",
  pods: "Pod",
  persistentvolumeclaims: "PersistentVolumeClaim",
  nodes: "Node",
};

/** Waits, turn by turn of the event loop, until a condition holds. */
export async function until(holds: () => boolean): Promise<void> {
  const endsAt = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > endsAt) throw new Error(`Cannot go on because this did not come true in 5 s: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

class ScriptedDispatcher extends Dispatcher {
  readonly #script: (asked: Asked) => Scripted;

  constructor(script: (asked: Asked) => Scripted) {
    super();
    this.#script = script;
  }

  override request = (async ({ method, path, body, signal }: Dispatcher.RequestOptions) => {
    const sent = typeof body === "string" ? JSON.parse(body) : undefined;
    const answer = this.#script({ method, path: String(path), body: sent });
    if (answer instanceof Error) throw answer;
    const status = answer === "Open" ? 200 : answer.status;
    const chunks = answer === "Open" ? silence(signal as AbortSignal) : [Buffer.from(JSON.stringify(answer.body))];
    return { statusCode: status, headers: {}, body: chunks };
  }) as unknown as Dispatcher["request"];
}

async function* silence(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}
