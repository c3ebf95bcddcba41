import type { TestRow } from "../causes/row.ts";
import { rows } from "../causes/table.ts";
import type { Walked } from "../causes/walk.ts";
import { clusterRows, walkAll, walkedNodes } from "../causes/walk-all.ts";
import { onCluster } from "./on-cluster.ts";
import { type Measurement, type Result, rounded } from "./result.ts";

/**
 * Every way for an attempt to end, or not to begin, that a cluster of container nodes can show: one run for each, ended so,
 * which has to name it, and to charge it as its cause says. What a cluster cannot show has its test named.
 */
export const causes: Measurement = {
  name: "causes",
  what: `${clusterRows(rows).length} ways for an attempt to end or not to begin, each on a run of its own`,
  seconds: 420,
  limitMs: 30 * 60_000,
  run: async (signal) => {
    const report = (line: string) => console.log(`  ${line}`);
    return await onCluster({ name: "causes", signal, report, nodes: walkedNodes }, async (installation) => {
      const walked = await walkAll(clusterRows(rows), { installation, signal }, (one) => report(wordsOf(one)));
      const others = rows.filter((row) => row.where !== "Cluster");
      return causesResult(installation.cluster.way, walked, others);
    });
  },
};

function wordsOf({ row, said, met, seconds }: Walked): string {
  const what = `${said.cause} ${said.charge ?? "uncharged"} ${said.reason}`;
  return `${met ? "as it should" : "NOT AS IT SHOULD"}: ${row.way}: ${what} after ${seconds.toFixed(1)} s: ${said.message.slice(0, 300)}`;
}

/** What the rows come to, one by one. */
export function causesResult(way: string, walked: readonly Walked[], others: readonly TestRow[]): Result {
  const wrong = walked.filter(({ met }) => !met);
  const told = new Set([...walked.map(({ row }) => row), ...others].map(({ says }) => says.cause));
  return {
    name: "causes",
    figures: {
      cluster: way,
      ways: walked.length + others.length,
      produced: walked.length - wrong.length,
      causes: told.size,
      rows: [
        ...walked.map(({ row, said, met, seconds }) => ({
          way: row.way,
          cause: said.cause,
          charge: said.charge,
          reason: said.reason,
          met,
          seconds: rounded(seconds),
          // Of one that is right, the words are nobody's concern.
          ...(met ? {} : { wanted: row.says, message: said.message.slice(0, 300) }),
        })),
        ...others.map(({ way, says, where, file }) => ({ way, cause: says.cause, shownBy: `${where} ${file}` })),
      ],
    },
    goals: {
      produced: {
        goal: "every way that container nodes can show ends as its row says",
        met: walked.length > 0 && wrong.length === 0,
      },
    },
  };
}
