import { describe, expect, test } from "vitest";
import { IncompatibleError } from "../src/learner.ts";
import { type Life, live, network, runDirectory } from "./short-life.ts";

/* A checkpoint is taken up by a script, or in an environment, that is not the one that saved it. */

const gpu = { name: "tensorflow-gpu", environment: { tensorflow: "2.15.1", threads: 8, device: "gpu" } } as const;

async function saved(life: Partial<Life> = {}): Promise<string> {
  const directory = runDirectory();
  await live({ directory, steps: 4, saveAt: 4, ...life });
  return directory;
}

describe("a script whose structure changed", () => {
  test("is refused with all weights that differ, and told how to go on", async () => {
    const directory = await saved();
    const error = await live({ directory, steps: 5, model: network({ units: 3, head: "top" }) }).catch(
      (e: unknown) => e,
    );
    expect(error).toEqual(
      new IncompatibleError(
        "Cannot resume because the weights of the checkpoint must match the script's: " +
          "2 missing in the checkpoint (top/kernel F32[6,3], top/bias F32[3]); " +
          "2 not in the script (head/bias F32[1], head/kernel F32[6,1]). " +
          "To load the rest, name such weights in resume.partial.",
      ),
    );
  });

  test("takes the rest where the patterns name what differs, and says what it skipped", async () => {
    const directory = await saved();
    const model = network({ units: 3, head: "top" });
    const strict = await live({ directory: await saved({ model }), steps: 4, model });
    const second = await live({ directory, steps: 4, model, policy: { partial: ["top/*", "head/*"] } });
    expect(second.report?.partial).toEqual({
      loaded: 2,
      skipped: 4,
      missing: ["top/kernel", "top/bias"],
      unexpected: ["head/bias", "head/kernel"],
      reshaped: [],
      // Two slots for each of two weights that begin anew, and for each of two that are left out.
      optimizerTensors: 8,
    });
    const first = await live({ directory, steps: 4 });
    for (const name of ["body/kernel", "body/bias"]) {
      expect(second.weights.get(name)).toEqual(first.weights.get(name));
      for (const slot of ["m", "v"]) {
        expect(second.optimizer.get(`${name}/${slot}`)).toEqual(first.optimizer.get(`${name}/${slot}`));
      }
    }
    expect([...second.optimizer.keys()].sort()).toEqual([...strict.optimizer.keys()].sort());
    expect(second.optimizer.get("top/kernel/m")).toEqual(Array.from({ length: 18 }, () => 0));
    expect(second.optimizer.get("optimizer/accBeta1")).toEqual(first.optimizer.get("optimizer/accBeta1"));
  });

  test("keeps its own value for a weight of another shape, and the slots begin anew with it", async () => {
    const directory = await saved();
    const model = network({ units: 2 });
    const fresh = await live({ directory: runDirectory(), steps: 0, model });
    const second = await live({ directory, steps: 4, model, policy: { partial: ["head/*"] } });
    expect(second.report?.partial).toMatchObject({ loaded: 2, skipped: 2, reshaped: ["head/kernel", "head/bias"] });
    expect(second.weights.get("head/kernel")).toEqual(fresh.weights.get("head/kernel"));
    expect(second.optimizer.get("head/bias/v")).toEqual([0, 0]);
  });

  test.each([
    ["momentum", (tf) => tf.train.momentum(0.05, 0.9), "head/kernel/momentum", 0],
    ["adagrad", (tf) => tf.train.adagrad(0.05, 0.25), "head/kernel/accumulator", 0.25],
    ["rmsprop", (tf) => tf.train.rmsprop(0.01), "head/kernel/rms", 0],
    ["adamax", (tf) => tf.train.adamax(0.01), "head/kernel/v", 0],
    ["adadelta", (tf) => tf.train.adadelta(0.01), "head/kernel/accum_var", 0],
  ] satisfies [string, NonNullable<Life["optimizer"]>, string, number][])(
    "trains on with %s, whose new slots are what it begins with",
    async (_, optimizer, slot, initial) => {
      const directory = await saved({ optimizer });
      const model = network({ units: 2 });
      const second = await live({ directory, steps: 7, model, optimizer, policy: { partial: ["head/*"] } });
      expect(second.before.optimizer.get(slot)).toEqual(Array.from({ length: 12 }, () => initial));
      expect(second.optimizer.get(slot)?.some((value) => value !== initial)).toBe(true);
      expect([...second.weights.values()].flat().every(Number.isFinite)).toBe(true);
    },
  );

  test("saves what it made of the checkpoint, and the next resume needs no pattern", async () => {
    const directory = await saved();
    const model = network({ units: 2 });
    const second = await live({ directory, steps: 6, saveAt: 6, model, policy: { partial: ["head/*"] } });
    const third = await live({ directory, steps: 6, model });
    expect([third.from, third.weights, third.optimizer]).toEqual([6, second.weights, second.optimizer]);
    expect(third.report?.partial).toBeUndefined();
  });

  test.each([
    ["trained before and frozen now", {}, { frozen: true }, ["body/bias/m", "body/kernel/v"], false],
    ["frozen before and trained now", { frozen: true }, {}, ["body/bias/m", "body/kernel/v"], true],
  ])("has the optimizer's tensors follow a layer that is %s", async (_, before, now, slots, isThere) => {
    const directory = await saved({ model: network(before) });
    const strict = live({ directory, steps: 5, model: network(now) });
    await expect(strict).rejects.toThrow("Cannot resume because the optimizer state of the checkpoint must match");
    const second = await live({ directory, steps: 6, model: network(now), policy: { partial: ["body/*"] } });
    const first = await live({ directory, steps: 4, model: network(before) });
    // The weights fit, so they are taken: the slots alone begin anew, or are left out.
    expect(second.before.weights).toEqual(first.weights);
    expect(second.report?.partial).toMatchObject({ loaded: 4, skipped: 0, optimizerTensors: 4 });
    for (const slot of slots) expect(second.before.optimizer.has(slot)).toBe(isThere);
    if (isThere) expect(second.before.optimizer.get("body/bias/m")).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("is refused for what no pattern names, which alone is listed", async () => {
    const directory = await saved();
    const model = network({ units: 2 });
    await expect(live({ directory, steps: 5, model, policy: { partial: ["*/bias"] } })).rejects.toThrow(
      "Cannot resume because weights that differ from the script's must be named by resume.partial (*/bias): " +
        "1 of another shape (head/kernel F32[6,1] in the checkpoint, F32[6,2] in the script).",
    );
  });

  test("is refused with another optimizer, patterns or not", async () => {
    const directory = await saved();
    const optimizer: Life["optimizer"] = (tf) => tf.train.sgd(0.1);
    await expect(live({ directory, steps: 5, optimizer, policy: { partial: ["*"] } })).rejects.toThrow(
      "Cannot resume because the optimizer must be the one of the checkpoint: Adam in the checkpoint, SGD in the script.",
    );
  });

  test("is refused where no weight is left to take, for that would be no resume", async () => {
    const directory = await saved();
    const other = (tf: Parameters<NonNullable<Life["model"]>>[0]) =>
      tf.sequential({ name: "network", layers: [tf.layers.dense({ inputShape: [4], units: 2, name: "other" })] });
    await expect(live({ directory, steps: 5, model: other, policy: { partial: ["*"] } })).rejects.toEqual(
      new IncompatibleError(
        "Cannot resume because a partial load must take at least one weight: none of the script's 2 is in the checkpoint " +
          "with its name and shape: 2 missing in the checkpoint (other/kernel F32[4,2], other/bias F32[2]); 4 not in the " +
          "script (body/bias F32[6], body/kernel F32[4,6], head/bias F32[1], and 1 more). To begin anew, start another run.",
      ),
    );
  });

  test("patterns change nothing where every weight fits", async () => {
    const directory = await saved();
    const strict = await live({ directory, steps: 6 });
    const lax = await live({ directory, steps: 6, policy: { partial: ["*"] } });
    expect([lax.weights, lax.optimizer, lax.report?.partial]).toEqual([strict.weights, strict.optimizer, undefined]);
  });
});

describe("another environment", () => {
  const members = ({ report }: Awaited<ReturnType<typeof live>>) =>
    report?.environment?.differences.map(({ member, before, now }) => `${member}: ${before} -> ${now}`);

  test("is none where nothing changed", async () => {
    const { report } = await live({ directory: await saved(), steps: 5, policy: { environmentMismatch: "Block" } });
    expect(report?.environment).toEqual({ policy: "Block", total: 0, differences: [] });
  });

  test.each([
    ["saved on a GPU, resumed on a CPU", gpu, {}],
    ["saved on a CPU, resumed on a GPU", {}, gpu],
  ])("%s: training goes on from the same bytes, and the difference is on record", async (_, first, second) => {
    const directory = await saved({ disguise: first });
    const same = await live({ directory, steps: 4, disguise: first });
    const other = await live({ directory, steps: 4, disguise: second, policy: { environmentMismatch: "Warn" } });
    expect([other.from, other.weights, other.optimizer]).toEqual([4, same.weights, same.optimizer]);
    const sides = Object.keys(first).length > 0 ? ["tensorflow-gpu", "wasm"] : ["wasm", "tensorflow-gpu"];
    expect(members(other)).toContain(`backend: ${sides.join(" -> ")}`);
    expect(members(other)?.some((text) => /^device\.kind: [cg]pu -> [cg]pu$/.test(text))).toBe(true);
  });

  test("that differs is refused where the policy is Block, both sides named", async () => {
    const directory = await saved({ disguise: gpu });
    await expect(live({ directory, steps: 5, policy: { environmentMismatch: "Block" } })).rejects.toThrow(
      /^Cannot resume because the environment must be the one that saved the checkpoint \(resume\.environmentMismatch is Block\): backend is tensorflow-gpu in the checkpoint, wasm here; device\.kind is gpu in the checkpoint, cpu here; .*/,
    );
  });

  test("is reported where the policy is Ignore as well", async () => {
    const { report } = await live({ directory: await saved({ disguise: gpu }), steps: 5 });
    expect(report?.environment).toMatchObject({ policy: "Ignore" });
    expect(report?.environment?.total).toBeGreaterThan(1);
  });

  test.each([
    ["batch size", { batchSize: 4 }, "training.batchSize: 5 -> 4"],
    ["seed", { seed: 8 }, "training.seed: 7 -> 8"],
    ["order of the data", { permutationSeed: 3 }, "training.permutationSeed: 2 -> 3"],
    ["number of steps", { steps: 10 }, "training.steps: 9 -> 10"],
  ])("is another %s as well: named, and refused where the policy is Block", async (_, training, difference) => {
    const directory = await saved();
    expect(members(await live({ directory, steps: 5, training }))).toEqual([difference]);
    await expect(live({ directory, steps: 6, training, policy: { environmentMismatch: "Block" } })).rejects.toThrow(
      new RegExp(`is Block\\): ${difference.split(":")[0]} is \\d+ in the checkpoint, \\d+ here\\.$`),
    );
  });

  test("is none where the checkpoint is of a trainer that did not record how it was set to train", async () => {
    const directory = await saved({ training: null });
    const { report } = await live({ directory, steps: 5, policy: { environmentMismatch: "Block" } });
    expect(report?.environment).toEqual({ policy: "Block", total: 0, differences: [] });
  });

  test("another configuration of the same optimizer is a difference", async () => {
    const second = await live({ directory: await saved(), steps: 5, learningRate: 0.2 });
    expect(second.report?.environment?.differences.map(({ member }) => member)).toEqual(["config"]);
  });
});
