import { describe, expect, it } from "vitest";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { SaveRequests } from "./save-requests.ts";

const now = Date.parse("2026-01-01T12:00:00Z");
const run = (requestedAt?: string): KubeObject => ({
  metadata: {
    name: "r",
    namespace: "a",
    uid: "u",
    resourceVersion: "1",
    annotations: requestedAt === undefined ? {} : { "trainingrun.dev/save-requested-at": requestedAt },
  },
});

/** `worker` is 0 unless told otherwise. */
type Asked = [run: KubeObject | undefined, podUid: string, worker?: number];

async function told(...asked: readonly Asked[]): Promise<string[]> {
  const requests = new SaveRequests();
  const pods: string[] = [];
  for (const [object, podUid, worker = 0] of asked) {
    await requests.pass({ run: object, podUid, worker, now }, async () => {
      pods.push(podUid);
    });
  }
  return pods;
}

describe("a request for a save", () => {
  const recent = run("2026-01-01T11:59:00Z");
  const rows: readonly [name: string, asked: Asked[], expected: string[]][] = [
    ["is not there without the annotation", [[run(), "p1"]], []],
    [
      "is passed to an agent once",
      [
        [recent, "p1"],
        [recent, "p1"],
      ],
      ["p1"],
    ],
    [
      "is passed to worker 0's agent alone, whose trainer tells the others",
      [
        [recent, "p2", 2],
        [recent, "p1", 0],
        [recent, "p3", 1],
      ],
      ["p1"],
    ],
    [
      "is passed to the next attempt's as well",
      [
        [recent, "p1"],
        [recent, "p2"],
      ],
      ["p1", "p2"],
    ],
    [
      "is a new one with a new value",
      [
        [recent, "p1"],
        [run("2026-01-01T11:59:30Z"), "p1"],
      ],
      ["p1", "p1"],
    ],
    ["counts for an hour", [[run("2026-01-01T10:59:59Z"), "p1"]], []],
    ["counts where its clock is ahead", [[run("2026-01-01T12:59:00Z"), "p1"]], ["p1"]],
    ["is left alone where it is of a day to come", [[run("2027-01-01T12:00:00Z"), "p1"]], []],
    ["is left alone where it names no time", [[run("now"), "p1"]], []],
    ["ends with the run", [[undefined, "p1"]], []],
  ];
  it.each(rows)("%s", async (_, asked, expected) => expect(await told(...asked)).toEqual(expected));

  it("is passed again where the agent could not be told", async () => {
    const requests = new SaveRequests();
    const asked = { run: recent, podUid: "p1", worker: 0, now };
    await expect(requests.pass(asked, () => Promise.reject(new Error("away")))).rejects.toThrow("away");
    let calls = 0;
    await requests.pass(asked, async () => {
      calls += 1;
    });
    expect(calls).toBe(1);
  });
});
