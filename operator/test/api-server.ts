import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, inject } from "vitest";
import { startApiServer } from "../../e2e/cluster/control-plane/api-server.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import { ApiServerControl } from "./api-server-control.ts";
import { testServerArgs } from "./shared-api-server.ts";
import { credentialsOf, testClient } from "./test-client.ts";

export { credentialsOf, testClient } from "./test-client.ts";
export { until } from "./until.ts";

/** What the tests of a file share; there from its first `beforeAll` on. */
export type TestApi = Readonly<{
  /** The administrator's. */
  credentials: Credentials;
  /** Speaks to the server itself, past every proxy, as the administrator. */
  direct: ApiClient;
  kubeconfigPath: string;
  /** What may be done to the server itself, where it was asked for as the tests' own. */
  control: ApiServerControl;
}>;

/**
 * A real API server for the tests of a file: the one that all files share (shared-api-server.ts), or, where they break it
 * or count on being alone there, their `Own`. `prepare` is done once, before the first test.
 */
export function useApiServer(
  prepare: (client: ApiClient) => Promise<void> = async () => undefined,
  whose: "Shared" | "Own" = "Shared",
): TestApi {
  let server: TestApiServer | undefined;
  let credentials: Credentials | undefined;
  let direct: ApiClient | undefined;
  beforeAll(async () => {
    server = await testApiServer(whose);
    credentials = credentialsOf(server.kubeconfigPath);
    direct = testClient(credentials);
    await prepare(direct);
  });
  afterAll(async () => {
    await credentials?.close();
    await server?.stop();
  });
  return {
    get credentials() {
      return there(credentials);
    },
    get direct() {
      return there(direct);
    },
    get kubeconfigPath() {
      return there(server).kubeconfigPath;
    },
    get control() {
      const { control } = there(server);
      if (control === undefined) throw new Error("Cannot break this API server because it is not the tests' own");
      return control;
    },
  };
}

function there<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("Cannot use the API server because it is started only before the first test");
  return part;
}

type TestApiServer = Readonly<{
  kubeconfigPath: string;
  control: ApiServerControl | undefined;
  stop: () => Promise<void>;
}>;

async function testApiServer(whose: "Shared" | "Own"): Promise<TestApiServer> {
  if (whose === "Shared")
    return { kubeconfigPath: inject("kubeconfig"), control: undefined, stop: async () => undefined };
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-api-server-"));
  const server = await startApiServer({ directory, extraArgs: testServerArgs });
  return {
    kubeconfigPath: server.kubeconfigPath,
    control: new ApiServerControl(server),
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
