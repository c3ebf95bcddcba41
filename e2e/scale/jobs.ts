import type { ContenderStart } from "./contender.ts";
import { plainTemplate } from "./plain-template.ts";

const jobs = { group: "batch", version: "v1", plural: "jobs", kind: "Job", scope: "Namespaced" } as const;

/** `batch/v1` Jobs whose disruptions do not count as failures: a pod that was taken is replaced once it has ended. */
export const jobContender: ContenderStart = {
  name: "job",
  start: async (plane) => {
    const client = plane.client("scale");
    const { namespace } = plane;
    return {
      processes: [],
      create: async (name, signal) => {
        const spec = {
          backoffLimit: 6,
          podReplacementPolicy: "Failed",
          podFailurePolicy: {
            rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
          },
          template: plainTemplate,
        };
        await client.create({ resource: jobs, namespace }, { metadata: { name }, spec }, { signal });
      },
      objectOf: ({ metadata }) => metadata.labels?.["batch.kubernetes.io/job-name"],
      lastWords: () => "",
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
};
