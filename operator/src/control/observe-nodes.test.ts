import { expect, test } from "vitest";
import { observeOnce } from "../../test/observe-once.ts";
import { rawPod } from "../../test/pod-builder.ts";
import { type Fields, storedRun } from "../../test/run-builder.ts";
import { listed, scriptedClient } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";

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
  const { nodes } = await observeOnce(client, { watchNodes: true });
  return nodes[0]?.ready;
}

const since = "2026-01-01T00:00:00.000Z";

test("a silence that is counted is believed on the server's own word alone: the node may be back", async () => {
  expect(await readyOf({ silence: { attempt: 1, since, nodes: ["node-a"] } })).toBe("True");
});

test("the copy will do where nothing is given up by it", async () => {
  expect(await readyOf({})).toBe("Unknown");
});
