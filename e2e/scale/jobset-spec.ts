/** One job of one pod. Its job fails at once when the pod was disrupted, and the set is then restarted for free. */
export function jobSetSpec(
  template: unknown,
  { job, labels }: Readonly<{ job: string; labels: Readonly<Record<string, string>> }> = { job: "train", labels: {} },
): unknown {
  const onPodConditions = [{ type: "DisruptionTarget", status: "True" }];
  return {
    failurePolicy: {
      maxRestarts: 6,
      rules: [
        {
          name: "disrupted",
          action: "RestartJobSetAndIgnoreMaxRestarts",
          onJobFailureReasons: ["PodFailurePolicy"],
        },
      ],
    },
    replicatedJobs: [
      {
        name: job,
        replicas: 1,
        template: {
          metadata: { labels },
          spec: {
            parallelism: 1,
            completions: 1,
            backoffLimit: 0,
            podFailurePolicy: { rules: [{ action: "FailJob", onPodConditions }] },
            template,
          },
        },
      },
    ],
  };
}
