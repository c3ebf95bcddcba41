import { ApiClient, type ApiClientOptions } from "../src/kubernetes/client.ts";
import { Credentials } from "../src/kubernetes/credentials.ts";
import { RequestLimit } from "../src/kubernetes/request-limit.ts";

/** A client as the operator makes one, with short waits and wide limits. */
export function testClient(
  credentials: Credentials,
  parts: Pick<ApiClientOptions, "observe" | "mayWrite"> = {},
): ApiClient {
  return new ApiClient({
    credentials,
    limit: new RequestLimit({ perSecond: 1_000, burst: 1_000, inFlight: 64 }),
    retry: { tries: 4, backoff: { firstMs: 10, maxMs: 100, random: Math.random }, longestRetryAfterMs: 2_000 },
    timeoutMs: 5_000,
    userAgent: "trainingrun-test",
    ...parts,
  });
}

/** Credentials of a kubeconfig. */
export function credentialsOf(kubeconfigPath: string): Credentials {
  return new Credentials({ kind: "Kubeconfig", path: kubeconfigPath });
}
