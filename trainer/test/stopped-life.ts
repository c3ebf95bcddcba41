/**
 * Run by stopped-life.test.ts: `node stopped-life.ts DIRECTORY STEPS MOMENT` trains to that step, with an evaluation after
 * every fourth, and asks itself to stop at a moment that no one else could time. It says what it does, a line each.
 */
import { once } from "node:events";
import { batches } from "../src/batches.ts";
import { stop } from "../src/stop.ts";
import { trainLearner } from "../src/train-learner.ts";
import { zeroWeight } from "./zero-weight.ts";

const [directory = "", steps = "", moment = ""] = process.argv.slice(2);

/** At most once; it is heard when the process next looks at its signals. */
function stopNowIf(wanted: string): void {
  if (moment === wanted && !stop.signal.aborted) process.kill(process.pid, "SIGTERM");
}

await trainLearner({
  learner: () => ({
    backend: "plain",
    environment: {},
    // Asked for before the checkpoint is loaded.
    get config() {
      stopNowIf("loading");
      return `blake3:${"0".repeat(64)}`;
    },
    step: () => {
      console.log("stepped");
      return 1;
    },
    snapshot: () => ({ weights: [zeroWeight], optimizerTensors: [], optimizer: { kind: "none", iterations: 0 } }),
    restore: () => {
      console.log("restored");
      stopNowIf("restored");
    },
  }),
  data: batches({ size: 2, columns: { x: { values: Float32Array.of(1, 2), shape: [] } } }, { batchSize: 1, seed: 1 }),
  steps: Number(steps),
  seed: 1,
  every: {
    steps: 4,
    run: async ({ step }) => {
      console.log("evaluated");
      stopNowIf("evaluating");
      if (moment === "evaluating") await once(stop.signal, "abort");
      return { accuracy: step / 100 };
    },
  },
  local: { directory, interval: { steps: 1000 } },
});
