import { describe, expect, test } from "vitest";
import { gang, workerPod } from "../../test/gang-builder.ts";
import { condition, decideOn, living } from "../../test/observed-builder.ts";
import { at, podWith, running, waiting } from "../../test/pod-builder.ts";
import { type Fields, specWith, start } from "../../test/run-builder.ts";
import { isHeldUp, queueWordsTold } from "./obstacle.ts";

const unmade = {
  containerStatuses: [waiting("trainer", "PodInitializing")],
  initContainerStatuses: [waiting("agent", "PodInitializing")],
};
const bound = { type: "PodScheduled", status: "True", lastTransitionTime: at(50) };
const pending = (fields: Fields = {}) =>
  podWith({ status: { phase: "Pending", ...unmade, conditions: [bound], ...fields } });

describe("a pod is held up", () => {
  test.each([
    ["that has a node for ten seconds and no container", pending(), true],
    ["whose kubelet has said nothing yet", pending({ containerStatuses: [], initContainerStatuses: [] }), true],
    ["that got its node a moment ago", pending({ conditions: [{ ...bound, lastTransitionTime: at(51) }] }), false],
    ["that has no node", podWith({ spec: { nodeName: undefined }, status: { phase: "Pending", ...unmade } }), false],
    [
      "whose image is not there, which the pod says itself",
      pending({ initContainerStatuses: [waiting("agent", "ErrImagePull")] }),
      false,
    ],
    ["whose agent runs", pending({ initContainerStatuses: [running("agent")] }), false],
    [
      "that is being deleted",
      podWith({ metadata: { deletionTimestamp: at(55) }, status: { phase: "Pending", ...unmade } }),
      false,
    ],
  ])("%s: %o", (_, pod, expected) => {
    expect(isHeldUp(pod, start + 60_000)).toBe(expected);
  });
});

describe("a pod whose Secret is missing", () => {
  const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3-keys" };
  const spec = { checkpoint: { ...(specWith().checkpoint as Fields), objectStore } };
  const problem = 'MountVolume.SetUp failed for volume "trainingrun-credentials" : secret "s3-keys" not found';
  const blocked = { run: living({ spec }), pods: [{ ...pending(), problem }] };

  test("is Blocked in the kubelet's words, and says which Secret to create", () => {
    expect(condition(decideOn(blocked), "Progressing")).toMatchObject({
      status: "False",
      reason: "Blocked",
      message: `The pod mnist-1-0 cannot begin on node node-a: ${problem}. Create the Secret s3-keys in the namespace team with the keys accessKeyId and secretAccessKey; the pod then begins by itself.`,
    });
  });

  test("is waited for: no attempt ends, nothing is written again, and it is told once", () => {
    const first = decideOn(blocked);
    expect(first.events).toMatchObject([{ type: "Warning", reason: "Blocked" }]);
    const next = decideOn({ ...blocked, run: { ...blocked.run, status: first.status }, now: start + 600_000 });
    expect(next).toEqual({ status: first.status, actions: [], events: [], requeueAfterMs: 15_000 });
    expect(next.status.attempts).toMatchObject([{ number: 1 }]);
  });

  test("goes on as any other once it begins", () => {
    const begun = podWith({ status: { initContainerStatuses: [running("agent")] } });
    expect(condition(decideOn({ ...blocked, pods: [begun] }), "Progressing")?.reason).toBe("Restoring");
  });
});

describe("a pod whose image cannot be pulled", () => {
  const failed = 'failed to resolve reference "example.com/nowhere:1": not found';
  const byTurns = (reason: string, message: string) =>
    pending({ containerStatuses: [waiting("trainer", reason, message)], initContainerStatuses: [running("agent")] });
  const trying = byTurns("ErrImagePull", failed);

  test("is told in the words of the failure, and not again when its kubelet waits between two tries", () => {
    const first = decideOn({ run: living(), pods: [trying] });
    expect(condition(first, "Progressing")).toMatchObject({
      reason: "ErrImagePull",
      message: `Container trainer of the pod mnist-1-0 does not start: ${failed}.`,
    });
    expect(first.events).toMatchObject([{ type: "Warning", reason: "ErrImagePull" }]);
    const waits = byTurns(
      "ImagePullBackOff",
      `Back-off pulling image "example.com/nowhere:1": ErrImagePull: ${failed}`,
    );
    const next = decideOn({ run: living({ status: { ...first.status } }), pods: [waits], now: start + 600_000 });
    expect([next.status, next.events]).toEqual([first.status, []]);
  });

  test("is told in the words of a kubelet that does not repeat them", () => {
    const waits = byTurns("ImagePullBackOff", 'Back-off pulling image "example.com/nowhere:1"');
    expect(condition(decideOn({ run: living(), pods: [waits] }), "Progressing")?.reason).toBe("ImagePullBackOff");
  });
});

test("a volume of the template that cannot be mounted is told of without advice on Secrets", () => {
  const problem = 'MountVolume.SetUp failed for volume "cache" : configmap "cache" not found.';
  const decision = decideOn({ run: living(), pods: [{ ...pending(), problem }] });
  expect(condition(decision, "Progressing")?.message).toBe(`The pod mnist-1-0 cannot begin on node node-a: ${problem}`);
});

test("a pod that starts is looked at again: nothing of it changes while its kubelet waits for a volume", () => {
  expect(decideOn({ run: living(), pods: [pending()] }).requeueAfterMs).toBe(15_000);
});

describe("a pod that is held back from the scheduler", () => {
  const blocked = {
    type: "PodScheduled",
    status: "False",
    reason: "SchedulingGated",
    message: "Scheduling is blocked due to non-empty scheduling gates",
  };
  const gatedBy = (gates: readonly string[], problem = "", queue: string | undefined = "gpus") => {
    const labels = {
      "trainingrun.dev/attempt": "1",
      "trainingrun.dev/worker": "0",
      ...(queue === undefined ? {} : { "kueue.x-k8s.io/queue-name": queue }),
    };
    const spec = { nodeName: undefined, schedulingGates: gates.map((name) => ({ name })) };
    return { ...podWith({ metadata: { labels }, spec, status: { phase: "Pending", conditions: [blocked] } }), problem };
  };
  const kueue = "kueue.x-k8s.io/admission";
  const full = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu, 1 more needed";

  test.each([
    ["by its queue", gatedBy([kueue]), "The pod mnist-1-0 waits in the queue gpus to be admitted."],
    [
      "by its queue, which has said why",
      gatedBy([kueue], full),
      `The pod mnist-1-0 waits in the queue gpus to be admitted. ${full}.`,
    ],
    [
      "by its queue, by all gates that Kueue makes",
      gatedBy([kueue, "kueue.x-k8s.io/topology"]),
      "The pod mnist-1-0 waits in the queue gpus to be admitted.",
    ],
    [
      "by its queue and by somebody else",
      gatedBy([kueue, "example.com/data"]),
      "The pod mnist-1-0 waits in the queue gpus to be admitted. It is held back by example.com/data as well.",
    ],
    [
      "by Kueue, and is in no queue",
      { ...gatedBy([kueue]), queue: null },
      "The pod mnist-1-0 waits for Kueue to admit it, and is in no queue: set the label kueue.x-k8s.io/queue-name on the run, and delete the pod.",
    ],
    [
      "by a gate of the template",
      gatedBy(["example.com/data"]),
      "The pod mnist-1-0 is held back from the scheduler by example.com/data: whoever put that there takes it off.",
    ],
  ])("%s says what it waits for, and nothing ends", (_title, pod, message) => {
    const decision = decideOn({ run: living(), pods: [pod] });
    expect(condition(decision, "Progressing")).toMatchObject({ status: "False", reason: "SchedulingGated", message });
    expect([decision.status.state, decision.actions]).toEqual(["Pending", []]);
  });

  test.each([
    ["says so where its queue has each worker of its gang for itself", undefined, true],
    ["says nothing of that where its gang is one group", "mnist-0123abcd-1", false],
  ])("%s", (_title, group, isTold) => {
    const spec = { nodeName: undefined, schedulingGates: [{ name: kueue }] };
    const queued = { "kueue.x-k8s.io/queue-name": "gpus" };
    const labels = group === undefined ? queued : { ...queued, "kueue.x-k8s.io/pod-group-name": group };
    const metadata = { labels: { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": "1", ...labels } };
    const waits = workerPod(1, { metadata, spec, status: { phase: "Pending", conditions: [blocked] } });
    const decision = decideOn({ run: gang(), pods: [workerPod(0), waits, workerPod(2)], service: "Present" });
    const advice =
      " Each worker waits there by itself, so some may hold their devices while others wait: set the label kueue.x-k8s.io/queue-name on the run, then spec.suspend to true and back to false, and the next attempt waits as one.";
    expect(condition(decision, "Progressing")?.message).toBe(
      `The pod mnist-1-1 waits in the queue gpus to be admitted.${isTold ? advice : ""}`,
    );
    const said = decideOn({
      run: gang(),
      pods: [workerPod(0), { ...waits, problem: full }, workerPod(2)],
      service: "Present",
    });
    expect(queueWordsTold(gang({ status: { ...said.status } }), waits)).toBe(`${full}.`);
  });

  const ofTemplate = "example.com/data";
  test.each([
    ["by its queue", gatedBy([kueue], full), `${full}.`],
    ["by its queue, which has said nothing", gatedBy([kueue]), ""],
    ["by its queue and by somebody else", gatedBy([kueue, ofTemplate], `${full}.`), `${full}.`],
    ["by its queue, which has said nothing, and by somebody else", gatedBy([kueue, ofTemplate]), ""],
    ["by the template alone", gatedBy([ofTemplate]), ""],
  ])(
    "%s: another operator finds in the condition what its queue has said, and writes the same",
    (_title, pod, words) => {
      const { status } = decideOn({ run: living(), pods: [pod] });
      const run = living({ status: { ...status } });
      expect(queueWordsTold(run, pod)).toBe(words);
      const next = decideOn({ run, pods: [{ ...pod, problem: queueWordsTold(run, pod) }] });
      expect(next.status).toEqual(status);
      expect(queueWordsTold(run, { ...pod, name: "mnist-2-0" })).toBe("");
      expect(queueWordsTold(run, { ...pod, queue: "others" })).toBe("");
    },
  );

  test("is looked at every minute while it is in a queue, which tells nobody of what it says", () => {
    expect(decideOn({ run: living(), pods: [gatedBy([kueue])] }).requeueAfterMs).toBe(60_000);
    expect(decideOn({ run: living(), pods: [gatedBy(["example.com/data"])] }).requeueAfterMs).toBeUndefined();
  });
});
