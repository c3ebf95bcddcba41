import { z } from "zod";
import { type Installation, systemNamespace } from "../harness/installation.ts";
import type { ClusterRow, Row } from "./row.ts";
import { type Place, type Walked, walkRow } from "./walk.ts";

/** So many rows at a time beside the one that has a node to itself. */
const atOnce = 4;

/** The nodes that rows are walked on: two for most of them, and one that is taken away. */
export const walkedNodes = ["node-a", "node-b", "node-c"].map((name) => ({
  name,
  resources: { "nvidia.com/gpu": "1" },
}));

/** The rows that a cluster shows, in their order. */
export function clusterRows(rows: readonly Row[]): readonly ClusterRow[] {
  return rows.filter((row) => row.where === "Cluster");
}

/** Walks rows on a cluster, and tells of each as it is through. */
export async function walkAll(
  rows: readonly ClusterRow[],
  { installation, signal }: Pick<Place, "installation" | "signal">,
  report: (walked: Walked) => void,
): Promise<readonly Walked[]> {
  const place = { installation, signal, ...(await chooseNodes(installation)) };
  const walked: Walked[] = [];
  const lane = async (queue: ClusterRow[]) => {
    for (let row = queue.shift(); row !== undefined; row = queue.shift()) {
      const done = await walkRow(row, `cause-${rows.indexOf(row) + 1}`, place);
      walked.push(done);
      report(done);
    }
  };
  const shared = rows.filter(({ lane }) => lane === "Shared");
  const ofNode = rows.filter(({ lane }) => lane === "Node");
  await Promise.all([lane(ofNode), ...Array.from({ length: atOnce }, () => lane(shared))]);
  return walked.toSorted((a, b) => rows.indexOf(a.row) - rows.indexOf(b.row));
}

const Pods = z.object({ items: z.array(z.object({ spec: z.object({ nodeName: z.string().optional() }) })) });

/** The spare node is one that no operator runs on, so that its loss is the run's alone. */
export async function chooseNodes({ api, cluster }: Installation): Promise<Pick<Place, "spare" | "kept">> {
  const { items } = Pods.parse(await api.expect("GET", `/api/v1/namespaces/${systemNamespace}/pods`));
  const taken = items.map(({ spec }) => spec.nodeName);
  const names = cluster.nodes.map(({ name }) => name);
  const spare = names.find((name) => !taken.includes(name));
  const kept = names.find((name) => name !== spare);
  if (spare === undefined || kept === undefined)
    throw new Error("Cannot keep a node for the rows that take one away: every node has an operator");
  return { spare, kept };
}
