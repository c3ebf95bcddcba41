import { describe, expect, test } from "vitest";
import { checkpoint, digest } from "../../test/records.ts";
import { runWith } from "../../test/run-builder.ts";
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
