import { describe, expect, test } from "vitest";
import { dead, deleted, nodeWith } from "../../test/ended-pods.ts";
import { gang, nodeOf, workerPod } from "../../test/gang-builder.ts";
import { decideOn, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, checkpoint, digest } from "../../test/records.ts";
import { runWith, start } from "../../test/run-builder.ts";
import type { AttemptEntry, RefusedEntry, TrainingRunStatus } from "../api/status.ts";
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

describe("the node of an attempt that could not verify", () => {
  test.each<[title: string, attempts: AttemptEntry[], nodes: string[]]>([
    ["is avoided by the next one", [suspect(4, "node-a")], ["node-a"]],
    [
      "is avoided alone of those of its gang",
      [
        entry(4, {
          cause: "NodeSuspect",
          pods: ["a", "b"].map((at) => ({ uid: at, node: `node-${at}` })),
          suspectNode: "node-b",
        }),
      ],
      ["node-b"],
    ],
    ["is avoided as well as another one", [suspect(5, "node-b"), suspect(4, "node-a")], ["node-a", "node-b"]],
    [
      "stays avoided although an attempt in between never came so far",
      [entry(6, { cause: "Drained" }), suspect(5, "node-b"), suspect(4, "node-a")],
      ["node-a", "node-b"],
    ],
    [
      "is avoided as well after an attempt that had begun: its agent could not read them back",
      [entry(5, { cause: "NodeSuspect", opened: true, pods: [{ uid: "u", node: "node-b" }] }), suspect(4, "node-a")],
      ["node-a", "node-b"],
    ],
    [
      "is as good as any once an attempt has opened and ended otherwise",
      [entry(6, { cause: "Crashed", opened: true }), suspect(5, "node-b"), suspect(4, "node-a")],
      [],
    ],
  ])("%s", (_title, attempts, nodes) => {
    expect(suspectedNodes({ attempt: 9, attempts: [open, ...attempts] })).toEqual(nodes);
  });
});

describe("a checkpoint that did not verify", () => {
  const by = (letter: string, ...words: [attempt: number, node: string][]): RefusedEntry => {
    const [, node = "node-a"] = words[0] ?? [];
    return { ...refusal(letter), node, namedBy: words.map(([attempt, node]) => ({ attempt, node })) };
  };
  const banned = (...refused: RefusedEntry[]) => expectedOf(runWith({ status: { refused } }), open).refused;

  test.each<[title: string, refused: RefusedEntry[], banned: string[]]>([
    ["is tried by another node first", [by("a", [4, "node-a"])], []],
    ["is no candidate any more when a second node says so", [by("a", [4, "node-a"], [5, "node-b"])], [digest("a")]],
    ["is tried again where no other node can be had", [by("a", [4, "node-a"], [5, "node-a"])], []],
    [
      "is none in the end where no other node can be had",
      [by("a", [4, "node-a"], [5, "node-a"], [6, "node-a"])],
      [digest("a")],
    ],
    ["is tried again though another node says so of another", [by("b", [5, "node-b"]), by("a", [4, "node-a"])], []],
    ["has one node against it where an older version kept no more", [refusal("a")], []],
    ["and is not there may come back, whoever misses it", [{ ...refusal("a"), reason: "Missing" }], []],
  ])("%s", (_title, refused, expected) => {
    expect(banned(...refused)).toEqual(expected);
  });

  type Told = Partial<Pick<AttemptFacts, "refused" | "catalogue" | "resumedFrom">>;
  const base = (letter: string) => ({ step: 500, digest: digest(letter), tier: "Volume" as const });
  const on = (node: string, ...letters: string[]) => letters.map((letter) => ({ ...refusal(letter), node }));

  /** What is on record of refusals after attempts of which each tells this. */
  function refusedAfter(known: TrainingRunStatus, ...attempts: [number: number, told: Told][]): RefusedEntry[] {
    const nothing = { refused: [], catalogue: [], latestVerified: null, best: null, resumedFrom: null };
    let status = known;
    for (const [number, told] of attempts) {
      const facts = { ...nothing, noneVerified: false, ...told } as unknown as AttemptFacts;
      status = { ...status, ...nextCatalogue({ ...status, attempts: [{ ...open, number }] }, facts) };
    }
    return status.refused ?? [];
  }

  test("has one word of each attempt against it, however often that says it", () => {
    const first: [number, Told] = [5, { refused: on("node-a", "a", "b") }];
    const second: [number, Told] = [6, { refused: on("node-b", "a") }];
    const after = refusedAfter({}, first, first, second, second);
    expect(after).toEqual([by("a", [5, "node-a"], [6, "node-b"]), by("b", [5, "node-a"])]);
    expect(banned(...after)).toEqual([digest("a")]);
  });

  test("has no more words kept against it than are needed", () => {
    const attempts = [5, 6, 7, 8].map((number): [number, Told] => [number, { refused: on("node-a", "a") }]);
    expect(refusedAfter({}, ...attempts)).toEqual([by("a", [5, "node-a"], [6, "node-a"], [7, "node-a"])]);
  });

  test("has the second node's word beside that which an older version kept", () => {
    const after = refusedAfter({ refused: [refusal("a")] }, [6, { refused: on("node-b", "a") }]);
    expect(after).toEqual([by("a", [1, "node-a"], [6, "node-b"])]);
  });

  test("is not given to the next attempt for what another node said of others weeks before", () => {
    const matched = [checkpoint(500, 1, "a"), checkpoint(500, 1, "b")];
    const after = refusedAfter(
      {},
      [5, { refused: on("node-a", "a", "b") }],
      [6, { catalogue: matched }],
      [6, { refused: on("node-b", "c", "d") }],
    );
    expect(after).toEqual([by("c", [6, "node-b"]), by("d", [6, "node-b"])]);
    expect(banned(...after)).toEqual([]);
  });

  test("and that a restore then began with has only what is said after that against it", () => {
    const begun: [number, Told] = [6, { resumedFrom: base("a") }];
    const doubted: [number, Told] = [6, { resumedFrom: base("a"), refused: on("node-b", "a") }];
    const before: [number, Told] = [5, { refused: on("node-a", "a") }];
    expect(refusedAfter({}, before, begun)).toEqual([]);
    for (const told of [[doubted], [begun, doubted], [doubted, begun]]) {
      expect(refusedAfter({}, before, ...told)).toEqual([by("a", [6, "node-b"])]);
    }
  });

  test("is told of by the verifier that read it, where it was not there before", () => {
    const missed = on("node-b", "a").map((each) => ({ ...each, reason: "Missing", message: "gone" }));
    const after = refusedAfter({}, [5, { refused: missed }], [6, { refused: [...missed, ...on("node-b", "a")] }]);
    expect(after).toEqual([by("a", [6, "node-b"])]);
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
      refused: ["a", "b"].map((letter) => ({ digest: digest(letter), namedBy: [{ attempt: 1, node: "node-a" }] })),
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
