import { expect, test } from "vitest";
import { rawPod } from "../../test/pod-builder.ts";
import { type Fields, storedRun } from "../../test/run-builder.ts";
import { listed, scriptedClient, until } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";
import { Caches } from "./caches.ts";
import { observe } from "./observe.ts";
import { Problems } from "./problems.ts";
import { Refusals } from "./refusals.ts";

const node = (status: string) => ({
  metadata: { name: "node-a", uid: "node-1", resourceVersion: "2" },
  status: { conditions: [{ type: "Ready", status }] },
});

/** How the node of a run's pod is seen, where the operator's copy has it silent and the server knows that it is back. */
async function readyOf(status: Fields): Promise<string | undefined> {
  const carried = { [labels.run]: "mnist", [labels.attempt]: "1", [labels.worker]: "0" };
  const held = {
    "/trainingruns?": storedRun({ status }),
    "/pods?": rawPod({ metadata: { namespace: "team", labels: carried } }),
    "/nodes?": node("Unknown"),
  };
  const client = scriptedClient(({ path }) => {
    if (path.includes("watch=true")) return "Open";
    if (path.endsWith("/nodes/node-a")) return { status: 200, body: node("True") };
    if (path.includes("/persistentvolumeclaims/")) return { status: 404, body: { kind: "Status" } };
    const kind = Object.entries(held).find(([part]) => path.includes(part));
    return kind === undefined ? listed(path) : listed(path, [kind[1]]);
  });
  const caches = new Caches({ client, namespaces: ["team"], watchNodes: true, onError: () => undefined });
  const stop = new AbortController();
  const watching = caches.run(stop.signal);
  await until(() => caches.hasSynced);
  const problems = new Problems({ client, log: () => undefined });
  const unheard = { report: () => undefined, askingSince: () => undefined };
  const sources = { caches, client, ...unheard, refusals: new Refusals(), problems, now: Date.now };
  const seen = await observe("team/mnist", sources, { signal: stop.signal });
  stop.abort();
  await watching;
  if (seen.kind !== "Seen") throw new Error("The run was not seen");
  return seen.observed.nodes[0]?.ready;
}

const since = "2026-01-01T00:00:00.000Z";

test("a silence that is counted is believed on the server's own word alone: the node may be back", async () => {
  expect(await readyOf({ silence: { attempt: 1, since, nodes: ["node-a"] } })).toBe("True");
});

test("the copy will do where nothing is given up by it", async () => {
  expect(await readyOf({})).toBe("Unknown");
});
