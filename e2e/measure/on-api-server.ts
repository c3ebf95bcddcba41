import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import { installTrainingRuns } from "../../operator/test/custom-resource.ts";
import { credentialsOf, testClient } from "../../operator/test/test-client.ts";
import { startApiServer } from "../cluster/control-plane/api-server.ts";

/** Does something with an API server of its own that serves TrainingRuns, as the administrator, and ends that server. */
export async function onApiServer<T>(
  { name, signal }: Readonly<{ name: string; signal: AbortSignal }>,
  work: (access: Readonly<{ client: ApiClient; credentials: Credentials }>) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), `trainingrun-${name}-`));
  try {
    const extraArgs = ["--disable-admission-plugins=ServiceAccount"];
    const server = await startApiServer({ directory, extraArgs, signal });
    const credentials = credentialsOf(server.kubeconfigPath);
    try {
      const client = testClient(credentials);
      await installTrainingRuns(client);
      return await work({ client, credentials });
    } finally {
      await credentials.close();
      await server.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
