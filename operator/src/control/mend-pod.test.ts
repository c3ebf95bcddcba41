import { describe, expect, it } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { runUid } from "../../test/run-builder.ts";
import { scriptedClient } from "../../test/scripted-client.ts";
import type { Mending } from "../core/alteration.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { mendPods } from "./mend-pod.ts";

const owner = {
  apiVersion: "trainingrun.dev/v1alpha1",
  kind: "TrainingRun",
  name: "mnist",
  uid: runUid,
  controller: true,
  blockOwnerDeletion: true,
} as const;
const labels = { "trainingrun.dev/run": "mnist" };
const queue = { labels: { group: "g" }, annotations: { total: "2" } };
const mending: Mending = { kind: "MendPod", name: "mnist-1-0", uid: "pod-1", labels, queue, owner };
const together = { labels: { ...labels, ...queue.labels }, annotations: queue.annotations };
type Sent = Readonly<Pick<KubeObject["metadata"], "name" | "labels" | "annotations">>;

/** What is written on pods that nobody owns, of a server that refuses some of it. */
async function mended(mendings: readonly Mending[], answer: (sent: Sent) => number) {
  const sent: Sent[] = [];
  const client = scriptedClient(({ method, path, body }) => {
    const name = path.split("/").at(-1) ?? "";
    const pod = rawPod({ metadata: { namespace: "team", name, uid: mending.uid, ownerReferences: [] } });
    if (method === "GET") return { status: 200, body: pod };
    const { metadata } = body as KubeObject;
    const { labels, annotations } = metadata;
    const write = { name, labels, ...(annotations === undefined ? {} : { annotations }) } as Sent;
    sent.push(write);
    const status = answer(write);
    return { status, body: status === 200 ? pod : { kind: "Status", message: "field is immutable" } };
  });
  const bound = { signal: new AbortController().signal };
  const outcome = await mendPods(mendings, { client, namespace: "team", written: () => undefined, bound });
  return { sent, done: outcome.done, error: outcome.error === undefined ? "" : String(outcome.error) };
}

describe("a pod that lacks what was written on it", () => {
  it("has all of it back at once", async () => {
    expect(await mended([mending], () => 200)).toEqual({
      sent: [{ name: "mnist-1-0", ...together }],
      done: [mending],
      error: "",
    });
  });

  it("has back what its run knows it by, where its queue holds its own labels to be for good, and that is told", async () => {
    const isQueues = ({ annotations }: Sent) => annotations !== undefined;
    const { sent, done, error } = await mended([mending], (write) => (isQueues(write) ? 422 : 200));
    expect([sent, done]).toEqual([
      [
        { name: "mnist-1-0", ...together },
        { name: "mnist-1-0", labels },
      ],
      [],
    ]);
    expect(error).toContain("field is immutable");
  });

  it("has nothing written on it a second time where its picture was old: the next pass has a newer one", async () => {
    const { sent, done, error } = await mended([mending], () => 409);
    expect([sent.length, done]).toEqual([1, []]);
    expect(error).toContain("409");
  });

  it("keeps no other from being mended by being refused, and all of them by a server that is away", async () => {
    const { queue: _, ...own } = mending;
    const both: readonly Mending[] = [own, { ...own, name: "mnist-1-1" }];
    const refused = await mended(both, ({ name }) => (name === "mnist-1-0" ? 403 : 200));
    expect([refused.sent.map(({ name }) => name), refused.done]).toEqual([["mnist-1-0", "mnist-1-1"], [both[1]]]);
    expect(refused.error).toContain("403");
    expect((await mended(both, () => 503)).sent).toHaveLength(1);
  });
});
