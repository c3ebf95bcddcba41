import type { Row } from "./row.ts";

/** The table of `docs/causes.md`: each way, what the run says of it, and where that was produced. */
export function productionTable(rows: readonly Row[]): string {
  const head = ["| produced by | the run says | charged | where |", "|---|---|---|---|"];
  return [...head, ...rows.map(line)].join("\n");
}

function line(row: Row): string {
  const { says, way } = row;
  const words = `\`${says.cause}\` (${says.reasons.map((reason) => `\`${reason}\``).join(" or ")})`;
  const charge = says.cause === "Blocked" ? "Nothing" : says.charge;
  return `| ${way} | ${words} | ${charge} | ${whereOf(row)} |`;
}

function whereOf(row: Row): string {
  if (row.where === "Cluster") return row.seen ? "container nodes" : "container nodes, not seen there yet";
  if (row.where === "ClusterTest") return `\`${row.file}\``;
  return `a recorded shape in \`${row.file}\`. ${row.why}`;
}
