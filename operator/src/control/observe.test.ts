import { expect, test } from "vitest";
import { observeOnce } from "../../test/observe-once.ts";
import { rawPod } from "../../test/pod-builder.ts";
import { runUid, runWith, storedRun } from "../../test/run-builder.ts";
import { listed, scriptedClient } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";
import { claimNameOf } from "../core/names.ts";

/** What is observed of the claim of a run with this pod, and how often its events were read for it. */
async function observedClaim(spec: object, conditions: readonly object[]): Promise<unknown> {
  let reads = 0;
  const name = claimNameOf(runWith());
  const metadata = {
    name,
    namespace: "team",
    uid: "claim-1",
    resourceVersion: "2",
    labels: { [labels.runUid]: runUid },
  };
  const carried = { [labels.run]: "mnist", [labels.attempt]: "1", [labels.worker]: "0" };
  const status = { phase: "Pending", conditions };
  const held = {
    "/trainingruns?": storedRun(),
    "/pods?": rawPod({ metadata: { namespace: "team", labels: carried }, spec: { ...spec }, status }),
    "/persistentvolumeclaims?": { metadata, status: { phase: "Pending" } },
  };
  const client = scriptedClient(({ path }) => {
    if (path.includes("watch=true")) return "Open";
    const kind = Object.entries(held).find(([part]) => path.includes(part));
    if (kind !== undefined) return listed(path, [kind[1]]);
    reads += 1;
    return { status: 200, body: { metadata: {}, items: [{ metadata: {}, type: "Warning", note: "no such class" }] } };
  });
  const { volume } = await observeOnce(client, { watchNodes: false });
  if (volume.kind !== "Present") throw new Error("The claim was not seen");
  return { problem: volume.problem, reads };
}

const scheduled = (status: string) => ({ type: "PodScheduled", status, reason: "Unschedulable", message: "no room" });
const gate = { schedulingGates: [{ name: "example.com/gate" }] };
test.each([
  ["has no place for the pod", {}, [scheduled("False")], { problem: "no such class", reads: 1 }],
  ["has not looked at the pod", {}, [], { problem: "", reads: 0 }],
  ["may not look at the pod", gate, [scheduled("False")], { problem: "", reads: 0 }],
])(
  "what is said of a claim that is not bound is asked where it matters: the scheduler %s",
  async (_title, spec, conditions, expected) => {
    expect(await observedClaim({ ...spec, nodeName: undefined }, conditions)).toEqual(expected);
  },
);

test("a pod that is not on record is known by its name, whatever its labels say by now", async () => {
  const carried = { [labels.run]: "mnist", [labels.attempt]: "77", [labels.worker]: "0" };
  const entry = { number: 1, generation: 1, pods: [], startTime: "2026-01-01T00:00:00Z" };
  const run = storedRun({ status: { attempt: 1, attempts: [entry] } });
  const pod = (name: string) => rawPod({ metadata: { name, uid: name, namespace: "team", labels: carried } });
  const client = scriptedClient(({ path }) => {
    if (path.includes("watch=true")) return "Open";
    if (path.includes("/trainingruns?")) return listed(path, [run]);
    if (path.includes("/pods?")) return listed(path, [pod("mnist-1-0"), pod("mnist-copy")]);
    return path.includes("limit=") ? listed(path) : { status: 404, body: {} };
  });
  const { pods } = await observeOnce(client, { watchNodes: false });
  expect(pods.map(({ name, attempt, altered }) => [name, attempt, altered])).toEqual([
    ["mnist-1-0", 1, [labels.runUid, labels.attempt]],
    ["mnist-copy", 77, []],
  ]);
});
