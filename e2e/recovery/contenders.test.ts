import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  type Contender,
  job,
  jobSet,
  jobSetWithSidecar,
  restartingTrainJob,
  shortBackoff,
  trainingRun,
  trainingRunWithInit,
  trainJob,
} from "./contenders.ts";

const contenders: readonly (readonly [string, Contender])[] = [
  ["a TrainingRun", trainingRun("x", shortBackoff)],
  ["a TrainingRun with an init container", trainingRunWithInit("x", {})],
  ["a Job", job("x")],
  ["a JobSet", jobSet("x")],
  ["a JobSet with a sidecar", jobSetWithSidecar("x")],
  ["a TrainJob", trainJob("x")],
  ["a TrainJob that restarts", restartingTrainJob("x")],
];

const Template = z.object({
  metadata: z.object({ labels: z.object({ contender: z.string() }) }),
  spec: z.looseObject({ containers: z.array(z.looseObject({ name: z.string() })).length(1) }),
});

/** The pod template, wherever the kind of object keeps it. */
function templateOf({ objects }: Contender): z.infer<typeof Template> {
  return Template.parse(found(objects.map(({ body }) => body)));
}

function found(value: unknown): unknown {
  if (Template.safeParse(value).success) return value;
  if (typeof value !== "object" || value === null) return undefined;
  return Object.values(value)
    .map(found)
    .find((inner) => inner !== undefined);
}

describe.each(contenders)("%s", (_what, contender) => {
  const { metadata, spec } = templateOf(contender);

  test("runs the same container in the same pod as any other", () => {
    const { restartPolicy: _, initContainers: __, ...pod } = spec;
    const { spec: expected } = templateOf(trainingRun("x", {}));
    const containers = expected.containers.map((container) => ({ ...container, name: expect.any(String) }));
    expect(pod).toEqual({ ...expected, containers });
  });

  test("has pods that are found by its name, and objects of that name", () => {
    expect(metadata.labels).toEqual({ contender: "x" });
    for (const { body } of contender.objects) expect(body).toMatchObject({ metadata: { name: "x" } });
  });
});

test.each([job("x"), jobSet("x"), jobSetWithSidecar("x"), restartingTrainJob("x")])(
  "who restarts by rules leaves nothing to the kubelet",
  (it) => {
    expect(templateOf(it).spec).toMatchObject({ restartPolicy: "Never" });
  },
);
