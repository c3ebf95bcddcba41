import { describe, expect, test } from "vitest";
import { gang, recorded, workerPod } from "../../test/gang-builder.ts";
import { decideOn } from "../../test/observed-builder.ts";
import { type Fields, runUid, runWith, templateOf } from "../../test/run-builder.ts";
import { sharedVolume } from "../../test/world.ts";
import { maxRunNameLength } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { queueGroupName } from "./names.ts";
import { queueMetadata, queuePlace, withPlaceFound } from "./queue-metadata.ts";

const queue = { "kueue.x-k8s.io/queue-name": "gpus" };
const groupName = "kueue.x-k8s.io/pod-group-name";
const begun = { number: 4, generation: 1, pods: [], startTime: "2026-01-01T00:00:00.000Z" };

function queued({
  labels = queue,
  workers = 3,
  number = 4,
  uid = runUid,
  template = templateOf("example.com/mnist"),
}: {
  labels?: Fields;
  workers?: number;
  number?: number;
  uid?: string;
  template?: Fields;
} = {}) {
  const spec = { workers, template, checkpoint: { volume: sharedVolume } };
  const run = runWith({ metadata: { uid, labels }, spec });
  const queue = queuePlace(run, { number, workers });
  return queueMetadata(run, { ...begun, number, workers, ...(queue === undefined ? {} : { queue }) });
}

describe("the pods of a gang in a queue", () => {
  test("are one group of so many, of which none is replaced", () => {
    expect(queued()).toEqual({
      labels: { ...queue, [groupName]: "mnist-0123abcd-4" },
      annotations: {
        "kueue.x-k8s.io/pod-group-total-count": "3",
        "kueue.x-k8s.io/retriable-in-group": "false",
      },
    });
  });

  test("are so as well where their template names the queue", () => {
    const template = { ...templateOf("example.com/mnist"), metadata: { labels: queue } };
    expect(queued({ labels: {}, template }).labels).toEqual({ [groupName]: "mnist-0123abcd-4" });
  });

  test("are no group of another attempt's, nor of a namesake's", () => {
    const others = [queued({ number: 5 }), queued({ uid: `f${runUid.slice(1)}` })];
    expect(new Set([queued(), ...others].map(({ labels }) => labels[groupName])).size).toBe(3);
  });

  test("have a name that fits into a label, however long the run's is", () => {
    const run = runWith({ metadata: { name: "r".repeat(maxRunNameLength) } });
    expect(queueGroupName(run, 99_999_999).length).toBeLessThanOrEqual(63);
  });
});

describe("pods that are made when the run's labels are others than when their attempt began", () => {
  const other = { "kueue.x-k8s.io/queue-name": "later", "kueue.x-k8s.io/priority-class": "urgent" };
  const now = (labels: Fields) => runWith({ metadata: { labels }, spec: { checkpoint: { volume: sharedVolume } } });
  const placed = (labels: Fields, workers: number) => {
    const queue = queuePlace(now(labels), { number: 4, workers });
    return { ...begun, workers, ...(queue === undefined ? {} : { queue }) };
  };

  test.each([
    ["taken off", {}],
    ["changed", other],
  ])("come where the others of their gang are: %s", (_, labels) => {
    expect(queueMetadata(now(labels), placed(queue, 3))).toEqual(queued());
  });

  test("come into no queue where the others are in none", () => {
    expect(queueMetadata(now(other), placed({}, 3))).toEqual({ labels: {} });
  });

  describe("in an attempt that was begun by a version that kept no place", () => {
    const group = "mnist-0123abcd-4";
    const inGroup = { attempt: 4, queue: "gpus", queueGroup: group };
    const inNone = { attempt: 4, queue: "gpus", queueGroup: null };
    const found = (run: TrainingRun, pods: Parameters<typeof withPlaceFound>[2], workers = 3) =>
      queueMetadata(run, withPlaceFound(run, { ...begun, workers }, pods));

    test.each<[string, Fields, Parameters<typeof withPlaceFound>[2], unknown]>([
      ["come into the group of those that stand", queue, [inNone, inGroup], queued()],
      ["come into the group of those that stand, though the run is in no queue any more", {}, [inGroup], queued()],
      ["come into no group where those that stand are in none", other, [inNone], { labels: other }],
      ["come into a group where none stands", queue, [], queued()],
      ["come into no group of another attempt's", queue, [{ ...inGroup, attempt: 3, queueGroup: "old" }], queued()],
    ])("%s", (_, labels, pods, expected) => {
      expect(found(now(labels), pods)).toEqual(expected);
    });

    test("come where the run says where there is one of them alone", () => {
      expect(found(now(other), [inGroup], 1)).toEqual({ labels: other });
    });

    test("are asked for so", () => {
      const run = gang({ pods: [recorded(0)], metadata: { labels: {} } });
      const pods = [{ ...workerPod(0), queue: "gpus", queueGroup: "mnist-0123abcd-1" }];
      const made = decideOn({ run, pods, service: "Present" }).actions;
      const labels = { ...queue, [groupName]: "mnist-0123abcd-1" };
      expect(made).toMatchObject([1, 2].map(() => ({ kind: "CreatePod", manifest: { metadata: { labels } } })));
    });
  });

  test("of an attempt of one pod keep a place that there is, and nothing else", () => {
    expect(placed({ ...other, mine: "not the pod's" }, 1).queue).toEqual({ name: "later", priorityClass: "urgent" });
    expect(placed({ mine: "not the pod's" }, 1)).not.toHaveProperty("queue");
  });
});

test.each([
  ["a single pod", { workers: 1 }, queue],
  ["a gang in no queue", { labels: { mine: "not the pod's" } }, {}],
])("%s is in no group", (_, given, labels) => {
  expect(queued(given)).toEqual({ labels });
});
