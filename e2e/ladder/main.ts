import { type Count, type Kind, kinds } from "./kinds.ts";

/**
 * `make test`: climbs the ladder of tests from the cheapest kind to the dearest, goes on after a kind that failed,
 * and ends with one line, `N passed, N failed, N skipped`. Exits 1 when anything failed.
 */
async function main(): Promise<void> {
  const started = performance.now();
  const rows: { kind: Kind; count: Count; seconds: number }[] = [];
  for (const kind of kinds) {
    console.log(`\n=== ${kind.name}: ${kind.what} (usually ${kind.usually})`);
    const begun = performance.now();
    const count = await kind.run();
    rows.push({ kind, count, seconds: (performance.now() - begun) / 1000 });
  }
  console.log(`\n=== all kinds, ${Math.round((performance.now() - started) / 1000)} s`);
  for (const { kind, count, seconds } of rows) {
    const skipped = count.skipped === 0 ? "" : `, ${count.skipped} skipped${count.why ? ` (${count.why})` : ""}`;
    console.log(`${kind.name}: ${count.passed} ok, ${count.failed} not ok${skipped}, ${seconds.toFixed(0)} s`);
  }
  const sum = (pick: (count: Count) => number) => rows.reduce((total, { count }) => total + pick(count), 0);
  const failed = sum((count) => count.failed);
  process.exitCode = failed === 0 ? 0 : 1;
  console.log(`${sum((c) => c.passed)} passed, ${failed} failed, ${sum((c) => c.skipped)} skipped`);
}

await main();
