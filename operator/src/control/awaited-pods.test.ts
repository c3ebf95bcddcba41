import { expect, test } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { runUid, runWith } from "../../test/run-builder.ts";
import { scriptedClient } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { readAwaited } from "./awaited-pods.ts";

const at = "2026-01-01T00:00:00Z";
const carried = { [labels.run]: "mnist", [labels.runUid]: runUid, [labels.attempt]: "1", [labels.worker]: "0" };
const standing = (metadata: object) => rawPod({ metadata: { namespace: "team", labels: carried, ...metadata } });
const deleted = { deletionTimestamp: at };
const stopped = { stop: { attempt: 1, cause: "RunDeleted", time: at } };

type Where = Readonly<{ cached?: object; held?: object; metadata?: object; status?: object; pods?: object[] }>;

/** What is found under the name of attempt 1's pod, and how often the server is asked for it. */
async function found({ cached, held, metadata, status, pods = [] }: Where): Promise<unknown> {
  const entry = { number: 1, generation: 1, pods, startTime: at };
  const run = runWith({ metadata: { ...metadata }, status: { attempt: 1, attempts: [entry], ...status } });
  const copy = new ObjectCache<KubeObject>();
  if (cached !== undefined) copy.put(cached as KubeObject);
  let reads = 0;
  const client = scriptedClient(() => {
    reads += 1;
    return { status: held === undefined ? 404 : 200, body: held ?? {} };
  });
  const bound = { signal: new AbortController().signal };
  const seen = await readAwaited(run, { caches: { pods: copy }, client, bound });
  return [seen.map(({ uid, altered }) => [uid, ...altered]), reads];
}

test.each<[string, Where, unknown]>([
  ["the one that was made", { cached: standing({}) }, [[["pod-1"]], 0]],
  ["one that nobody owns any more", { cached: standing({ ownerReferences: [] }) }, [[["pod-1", "ownerReferences"]], 0]],
  ["none of another owner's", { cached: standing({ ownerReferences: [{ uid: "x", controller: true }] }) }, [[], 0]],
  [
    "none that nobody owns, and that does not say whose it is",
    { cached: rawPod({ metadata: { namespace: "team", ownerReferences: [] } }) },
    [[], 0],
  ],
  ["none that is on record", { cached: standing({}), pods: [{ uid: "pod-1" }] }, [[], 0]],
  ["none that the copy lacks, while the run lives", { held: standing({}) }, [[], 0]],
  [
    "one that the copy lacks, once the run is deleted",
    { held: standing({ labels: {} }), metadata: deleted },
    [[["pod-1", ...Object.keys(carried)]], 1],
  ],
  ["that there is none, where the server has none either", { metadata: deleted }, [[], 1]],
  ["none any more once the stop is on record", { held: standing({}), metadata: deleted, status: stopped }, [[], 0]],
])("under the name of a pod that is not on record is found %s", async (_, where, expected) => {
  expect(await found(where)).toEqual(expected);
});
