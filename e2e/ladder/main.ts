import { allPassed, climb, summary } from "./climb.ts";
import { rungs } from "./kinds.ts";

/**
 * `make test`: climbs the ladder of tests from the cheapest kind to the dearest and ends with one line,
 * `N passed, N failed, N skipped`, whatever happens on the way. Exits 1 when anything failed, also when it was stopped.
 */
async function main(): Promise<void> {
  const started = performance.now();
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // Asked again while what runs is being ended, we go on ending it: what a test has started would be left otherwise.
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const say = (line: string) => console.log(line);
  const rows = await climb(rungs, { signal: stop.signal, say });
  say(`\n=== all kinds, ${Math.round((performance.now() - started) / 1000)} s`);
  process.exitCode = allPassed(rows, stop.signal) ? 0 : 1;
  for (const line of summary(rows)) say(line);
}

await main();
