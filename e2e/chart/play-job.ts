import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { run } from "../cluster/processes/command.ts";
import type { ChartServer } from "./chart-server.ts";
import { Rendered, release } from "./render.ts";

const Job = Rendered.extend({
  spec: z.object({
    template: z.object({
      spec: z.object({
        serviceAccountName: z.string(),
        containers: z.tuple([
          z.object({
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string().default("") })),
          }),
        ]),
      }),
    }),
  }),
});

const operatorProgram = join(import.meta.dirname, "../../operator/src/main.ts");

/**
 * What the Job controller and a kubelet would do with the Job of an uninstall: runs the operator's program with the
 * variables and the service account of its pod, so with no more rights than these have, and reports on the Job how it
 * ended. Returns the program's log; throws where it failed.
 */
export async function playJob(server: ChartServer, name: string): Promise<string> {
  const of = ["job", name, "-n", release.namespace];
  const job = Job.parse(JSON.parse(await server.kubectl(["get", ...of, "-o", "json"])));
  const { serviceAccountName, containers } = job.spec.template.spec;
  const [{ args, env }] = containers;
  const { hostname, port } = new URL(server.api.server);
  let log = "";
  const variables = {
    ...Object.fromEntries(env.map((variable) => [variable.name, variable.value])),
    SERVICE_ACCOUNT_DIRECTORY: await accountDirectory(server, serviceAccountName),
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
  };
  const reported = (conditions: readonly string[], fields: object) =>
    JSON.stringify({
      status: {
        startTime: job.metadata.creationTimestamp,
        ...fields,
        conditions: conditions.map((type) => ({ type, status: "True", lastTransitionTime: new Date().toISOString() })),
      },
    });
  const report = (patch: string) =>
    server.kubectl(["patch", ...of, "--subresource=status", "--type=merge", "-p", patch]);
  try {
    await run(process.execPath, [operatorProgram, ...args], {
      env: variables,
      onOutput: (text) => {
        log += text;
      },
    });
  } catch (error) {
    await report(reported(["FailureTarget", "Failed"], { failed: 1 }));
    throw error;
  }
  const completionTime = new Date().toISOString();
  await report(reported(["SuccessCriteriaMet", "Complete"], { succeeded: 1, completionTime }));
  return log;
}

/** What the kubelet mounts into a pod of the account. */
async function accountDirectory(server: ChartServer, account: string): Promise<string> {
  await mkdir(server.directory, { recursive: true });
  const directory = await mkdtemp(join(server.directory, "account-"));
  await writeFile(
    join(directory, "token"),
    await server.kubectl(["create", "token", account, "-n", release.namespace]),
  );
  await writeFile(join(directory, "ca.crt"), await readFile(server.api.caPath));
  return directory;
}
