import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer } from "../../e2e/cluster/control-plane/api-server.ts";
import { ApiClient, type RequestObserver } from "../src/kubernetes/client.ts";
import { Credentials } from "../src/kubernetes/credentials.ts";
import { RequestLimit } from "../src/kubernetes/request-limit.ts";

/** A real API server for a test: the one that TRAININGRUN_TEST_KUBECONFIG names, or one started for it. */
export type TestApiServer = Readonly<{ kubeconfigPath: string; stop: () => Promise<void> }>;

export async function testApiServer(): Promise<TestApiServer> {
  const given = process.env.TRAININGRUN_TEST_KUBECONFIG;
  if (given !== undefined && given !== "") return { kubeconfigPath: given, stop: async () => undefined };
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-api-server-"));
  const server = await startApiServer({ directory, extraArgs: ["--disable-admission-plugins=ServiceAccount"] });
  return {
    kubeconfigPath: server.kubeconfigPath,
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A client as the operator makes one, with short waits and wide limits. */
export function testClient(credentials: Credentials, observe?: RequestObserver): ApiClient {
  return new ApiClient({
    credentials,
    limit: new RequestLimit({ perSecond: 1_000, burst: 1_000, inFlight: 64 }),
    retry: { tries: 4, backoff: { firstMs: 10, maxMs: 100, random: Math.random }, longestRetryAfterMs: 2_000 },
    timeoutMs: 5_000,
    userAgent: "trainingrun-test",
    ...(observe === undefined ? {} : { observe }),
  });
}

/** Credentials of a kubeconfig. */
export function credentialsOf(kubeconfigPath: string): Credentials {
  return new Credentials({ kind: "Kubeconfig", path: kubeconfigPath });
}

/** Waits until a condition holds, and says what it was waiting for where it never does. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 10_000,
): Promise<T> {
  const endsAt = performance.now() + timeoutMs;
  for (;;) {
    const seen = await probe();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > endsAt)
      throw new Error(`Cannot go on because this did not come true within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
