import type { Row } from "./row.ts";

/** The table of `docs/causes.md`: each way, what the run says of it, and where that was produced; `unseen` ones were not yet. */
export function productionTable(rows: readonly Row[], unseen: readonly string[]): string {
  const head = ["| produced by | the run says | charged | where |", "|---|---|---|---|"];
  return [...head, ...rows.map((row) => line(row, unseen))].join("\n");
}

function line(row: Row, unseen: readonly string[]): string {
  const { says, way } = row;
  const words = `\`${says.cause}\` (${says.reasons.map((reason) => `\`${reason}\``).join(" or ")})`;
  const charge = says.cause === "Blocked" ? "Nothing" : says.charge;
  return `| ${way} | ${words} | ${charge} | ${whereOf(row, unseen)} |`;
}

function whereOf(row: Row, unseen: readonly string[]): string {
  if (row.where === "Cluster")
    return unseen.includes(row.way) ? "container nodes, not seen there yet" : "container nodes";
  if (row.where === "ClusterTest") return `\`${row.file}\``;
  return `a recorded shape in \`${row.file}\`. ${row.why}`;
}
