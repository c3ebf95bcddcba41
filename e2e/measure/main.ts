import { corruption } from "./corruption.ts";
import { exactness } from "./exactness.ts";
import { recovery } from "./recovery.ts";
import { type Measurement, publish } from "./result.ts";

const measurements: readonly Measurement[] = [corruption, exactness, recovery];

/** `npm run measure -- NAME`: runs one measurement, or `all`; the last line of each is one line of JSON. */
async function main(name: string | undefined): Promise<void> {
  const chosen = measurements.filter((measurement) => name === "all" || measurement.name === name);
  if (chosen.length === 0) {
    console.error(`Cannot measure ${name ?? "nothing"}. Give one of these names, or all:`);
    for (const { name, what, seconds } of measurements) console.error(`  ${name}: ${what} (about ${seconds} s)`);
    process.exitCode = 2;
    return;
  }
  for (const measurement of chosen) {
    console.log(`measuring ${measurement.name}: ${measurement.what} (about ${measurement.seconds} s)`);
    publish(await measurement.run());
  }
}

await main(process.argv[2]);
