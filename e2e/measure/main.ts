import { attacks } from "./attacks.ts";
import { causes } from "./causes.ts";
import { corruption } from "./corruption.ts";
import { crashGrid } from "./crash-grid.ts";
import { crashPoints } from "./crash-points.ts";
import { exactness } from "./exactness.ts";
import { failover } from "./failover.ts";
import { kueue } from "./kueue.ts";
import { mirror } from "./mirror.ts";
import { nodeLoss } from "./node-loss.ts";
import { planted } from "./planted.ts";
import { powerLoss } from "./power-loss.ts";
import { quiet } from "./quiet.ts";
import { recovery } from "./recovery.ts";
import { restoreThroughput } from "./restore-throughput.ts";
import { brokenResult, holds, lineOf, type Measurement } from "./result.ts";
import { saveStall } from "./save-stall.ts";
import { saveThroughput } from "./save-throughput.ts";
import { scale } from "./scale.ts";
import { simulation } from "./simulation.ts";

const measurements: readonly Measurement[] = [
  corruption,
  exactness,
  recovery,
  nodeLoss,
  causes,
  quiet,
  saveStall,
  saveThroughput,
  restoreThroughput,
  mirror,
  attacks,
  crashGrid,
  powerLoss,
  planted,
  simulation,
  crashPoints,
  failover,
  kueue,
  scale,
];

/**
 * `npm run measure -- NAME`: runs one measurement, or `all`. Each ends with one line of JSON, whatever happens to it; one
 * that breaks or is stopped does not hold. Exits 1 where one does not hold.
 */
async function main(name: string | undefined): Promise<number> {
  const chosen = measurements.filter((measurement) => name === "all" || measurement.name === name);
  if (chosen.length === 0) {
    console.error(`Cannot measure ${name ?? "nothing"}. Give one of these names, or all:`);
    for (const { name, what, seconds } of measurements) console.error(`  ${name}: ${what} (about ${seconds} s)`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  let exitCode = 0;
  for (const { name, what, seconds, limitMs, run } of chosen) {
    console.log(`measuring ${name}: ${what} (about ${seconds} s)`);
    const limit = AbortSignal.timeout(limitMs);
    const signal = AbortSignal.any([stop.signal, limit]);
    const result = await run(signal).catch((error: unknown) => {
      console.error(error);
      // What was waited for when the end came says less than why it came.
      return brokenResult(name, stop.signal.aborted ? stop.signal.reason : error);
    });
    if (!holds(result)) exitCode = 1;
    console.log(lineOf(result));
  }
  return exitCode;
}

process.exitCode = await main(process.argv[2]);
