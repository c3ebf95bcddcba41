import { join } from "node:path";
import { createApiClient } from "../cluster/control-plane/api-client.ts";
import type { ContenderStart } from "./contender.ts";
import { startJobSet } from "./jobset-controller.ts";
import { jobSetSpec } from "./jobset-spec.ts";
import { plainTemplate } from "./plain-template.ts";
import { raised } from "./scale-plane.ts";

const jobSets = {
  group: "jobset.x-k8s.io",
  version: "v1alpha2",
  plural: "jobsets",
  kind: "JobSet",
  scope: "Namespaced",
} as const;

/** JobSets that are restarted when a pod was taken, which is not counted against their limit. */
export const jobSetContender: ContenderStart = {
  name: "jobset",
  start: async (plane, _pods, signal) => {
    const { server, namespace } = plane;
    const api = await createApiClient(server.kubeconfigPath);
    const directory = join(server.directory, "jobset");
    const controller = await startJobSet({ api, kubeconfigPath: server.kubeconfigPath, directory, ...raised, signal });
    const client = plane.client("scale");
    return {
      processes: [{ name: "jobset", pid: controller.pid }],
      create: async (name, signal) => {
        const { group, version, kind } = jobSets;
        const jobSet = { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec: jobSetSpec(plainTemplate) };
        await client.create({ resource: jobSets, namespace }, jobSet, { signal });
      },
      objectOf: ({ metadata }) => metadata.labels?.["jobset.sigs.k8s.io/jobset-name"],
      lastWords: () => "",
      [Symbol.asyncDispose]: async () => {
        await controller.stop();
        await api.close();
      },
    };
  },
};
