import { describe, expect, test } from "vitest";
import { dead, deleted, nodeWith } from "../../test/ended-pods.ts";
import { gang, nodeOf, workerPod } from "../../test/gang-builder.ts";
import { decideOn, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, checkpoint, digest } from "../../test/records.ts";
import { runWith, start } from "../../test/run-builder.ts";
import type { AttemptEntry } from "../api/status.ts";
import { nextCatalogue } from "./catalogue.ts";
import { expectedOf } from "./expected.ts";
import type { AttemptFacts } from "./facts.ts";
import { suspectedNodes } from "./node-suspicion.ts";

const time = "2026-01-01T00:00:00Z";
const refusal = (letter: string) => ({
  step: 500,
  attempt: 1,
  digest: digest(letter),
  reason: "BytesDiffer",
  message: "model.safetensors",
  node: "node-a",
  time,
});
const entry = (number: number, over: Partial<AttemptEntry>): AttemptEntry => {
  return { number, generation: 1, pods: [], startTime: time, endTime: time, ...over };
};
const suspect = (number: number, node: string) => entry(number, { cause: "NodeSuspect", pods: [{ uid: "u", node }] });
const open = entry(9, { endTime: undefined });

describe("what could not be verified on a node", () => {
  const both = [digest("a"), digest("b")];
  test.each<[title: string, attempts: AttemptEntry[], nodes: string[], refused: string[]]>([
    ["is tried by another node first", [suspect(4, "node-a")], ["node-a"], []],
    [
      "by one pod of a gang is tried by another node first, and none of its peers' nodes is suspected",
      [
        entry(4, {
          cause: "NodeSuspect",
          pods: ["a", "b"].map((at) => ({ uid: at, node: `node-${at}` })),
          suspectNode: "node-b",
        }),
      ],
      ["node-b"],
      [],
    ],
    [
      "is given up when a second node says so",
      [suspect(5, "node-b"), suspect(4, "node-a")],
      ["node-a", "node-b"],
      both,
    ],
    ["is tried again where no other node can be had", [suspect(5, "node-a"), suspect(4, "node-a")], ["node-a"], []],
    [
      "is given up in the end where no other node can be had",
      [suspect(6, "node-a"), suspect(5, "node-a"), suspect(4, "node-a")],
      ["node-a"],
      both,
    ],
    [
      "stays given up although an attempt in between never came so far",
      [entry(6, { cause: "Drained" }), suspect(5, "node-b"), suspect(4, "node-a")],
      ["node-a", "node-b"],
      both,
    ],
    [
      "is suspected as well after an attempt that had begun: its agent could not read them back",
      [entry(5, { cause: "NodeSuspect", opened: true, pods: [{ uid: "u", node: "node-b" }] }), suspect(4, "node-a")],
      ["node-a", "node-b"],
      both,
    ],
    [
      "is the log's business once an attempt has opened",
      [entry(6, { cause: "Crashed", opened: true }), suspect(5, "node-b"), suspect(4, "node-a")],
      [],
      [],
    ],
  ])("%s", (_title, attempts, nodes, refused) => {
    const run = runWith({
      status: { attempt: 9, attempts: [open, ...attempts], refused: [refusal("a"), refusal("b")] },
    });
    expect(suspectedNodes(run.status)).toEqual(nodes);
    expect(expectedOf(run, open).refused).toEqual(refused);
  });

  test("is no longer refused once another node has verified it", () => {
    const known = { refused: [refusal("a"), refusal("b")], checkpoints: [checkpoint(400, 1, "c")] };
    const verified = [checkpoint(500, 1, "a"), checkpoint(400, 1, "c")];
    const facts = { refused: [], catalogue: verified, latestVerified: verified[0], best: null };
    expect(nextCatalogue(known, facts as unknown as AttemptFacts)).toEqual({
      latestVerified: verified[0],
      checkpoints: verified,
      refused: [refusal("b")],
    });
  });
});

describe("an agent that reads back, on its node, what had been whole and is not", () => {
  const message = "Checkpoints that had been whole do not verify on node node-a.";
  const told = (podUid = "pod-1") => {
    const problems = [{ reason: "NodeSuspect", message }];
    const state = answer({ problems, refused: [refusal("a"), refusal("b")] });
    return { podUid, receivedAt: start + 59_000, state };
  };
  const both = { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] };

  test("has the attempt ended uncharged, and the next one kept off the node", () => {
    const run = living({ entry: { opened: true } });
    const first = decideOn({ run, pods: [podWith({ status: both })], reports: [told()] });
    expect(first.status.stop).toMatchObject({ cause: "NodeSuspect", reason: "ReadBack", message });
    expect(kinds(first)).toEqual(["DeletePod"]);
    const gone = podWith({ metadata: deleted, status: dead(ended("trainer", 143), ended("agent", 0)) });
    const { status } = decideOn({ run: { ...run, status: first.status }, pods: [gone] });
    expect(status.attempts?.find(({ number }) => number === 1)).toMatchObject({
      ...{ cause: "NodeSuspect", charge: "Nothing", reason: "ReadBack", message },
    });
    expect(suspectedNodes(status)).toEqual(["node-a"]);
    expect(status).toMatchObject({
      retry: { failures: 0 },
      refused: [{ digest: digest("a") }, { digest: digest("b") }],
    });
  });

  test("is not asked any more once its trainer has ended, or somebody has deleted the pod", () => {
    const over = podWith({ status: { ...both, containerStatuses: [ended("trainer", 3, { finishedAt: at(50) })] } });
    for (const pod of [over, podWith({ metadata: deleted, status: both })]) {
      expect(decideOn({ run: living(), pods: [pod], reports: [told()] }).status.stop?.cause).not.toBe("NodeSuspect");
    }
  });

  test("is worker 0's, of a gang: the nodes of the others are not suspected", () => {
    const workers = [0, 1, 2];
    const run = gang({ entry: { opened: true } });
    const nodes = workers.map((worker) => nodeWith({ name: nodeOf(worker) }));
    const pods = workers.map((worker) => workerPod(worker));
    const first = decideOn({ run, pods, nodes, service: "Present", reports: [told("pod-0")] });
    const over = workers.map((worker) => workerPod(worker, { metadata: deleted, status: dead(ended("trainer", 143)) }));
    const { status } = decideOn({ run: { ...run, status: first.status }, pods: over, nodes, service: "Present" });
    expect(status.attempts?.find(({ number }) => number === 1)).toMatchObject({
      ...{ cause: "NodeSuspect", reason: "ReadBack", suspectNode: "node-a" },
    });
    expect(suspectedNodes(status)).toEqual(["node-a"]);
  });
});
