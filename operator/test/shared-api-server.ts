import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startApiServer } from "../../e2e/cluster/control-plane/api-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the administrator's kubeconfig for the shared API server lies. */
    kubeconfig: string;
  }
}

/** No controller runs beside the tests' servers that would make the accounts which that plugin asks for. */
export const testServerArgs = ["--disable-admission-plugins=ServiceAccount"];

/**
 * The API server that the test files share, each in namespaces of its own: the one that TRAININGRUN_TEST_KUBECONFIG
 * names, or one started here. To start one for each file took a fifth of all the time.
 */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TRAININGRUN_TEST_KUBECONFIG;
  if (given !== undefined && given !== "") {
    provide("kubeconfig", given);
    return async () => undefined;
  }
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-api-server-"));
  const server = await startApiServer({ directory, extraArgs: testServerArgs });
  provide("kubeconfig", server.kubeconfigPath);
  return async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
}
