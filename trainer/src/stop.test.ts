import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

/** A process that gets its own SIGTERM while it computes, and says when it can have come for all that it knows. */
const script = `
  const { stop } = await import(process.argv[1]);
  const { setTimeout: sleep } = await import("node:timers/promises");
  const installedMs = performance.now();
  await sleep(300);
  const sentMs = performance.now();
  process.kill(process.pid, "SIGTERM");
  while (performance.now() < sentMs + 400);
  const computedMs = performance.now();
  while (!stop.signal.aborted) await sleep(1);
  const { notBeforeMs, requestedAtMs } = stop;
  console.log(JSON.stringify({ installedMs, notBeforeMs, sentMs, computedMs, requestedAtMs }));
`;

test("a signal that comes while a step holds the thread is known to have come before it was heard", () => {
  const child = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", script, join(import.meta.dirname, "stop.ts")],
    { encoding: "utf8", timeout: 20_000 },
  );
  const at: Record<string, number> = JSON.parse(child.stdout);
  const inOrder = Object.entries(at).sort(([, one], [, other]) => one - other);
  expect(inOrder.map(([name]) => name)).toEqual([
    "installedMs",
    "notBeforeMs",
    "sentMs",
    "computedMs",
    "requestedAtMs",
  ]);
});
