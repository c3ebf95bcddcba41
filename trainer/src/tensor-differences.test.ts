import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { expect, test } from "vitest";
import { requireSameTensors } from "./learner.ts";
import { compareTensors, describeTensorDifferences } from "./tensor-differences.ts";

const tensor = (...shape: number[]) => ({ dtype: "F32", shape, bytes: new Uint8Array() });

test("one refusal tells of all tensors that are missing, left over or of another shape", () => {
  const script = new Map([
    ["conv/kernel", tensor(3, 3)],
    ["head/kernel", tensor(50, 4)],
    ["head/scale", tensor(4)],
    ["conv/bias", tensor(3)],
  ]);
  const checkpoint = new Map([
    ["conv/bias", { ...tensor(3), dtype: "I32" }],
    ["conv/kernel", tensor(3, 3)],
    ["head/kernel", tensor(50, 3)],
    ["old/kernel", tensor(7)],
  ]);
  expect(() => requireSameTensors("weights", script, checkpoint)).toThrow(
    "Cannot resume because the weights of the checkpoint must match the script's: " +
      "1 missing in the checkpoint (head/scale F32[4]); 1 not in the script (old/kernel F32[7]); " +
      "2 of another shape (head/kernel F32[50,3] in the checkpoint, F32[50,4] in the script, " +
      "conv/bias I32[3] in the checkpoint, F32[3] in the script). " +
      "To load the rest, name such weights in resume.partial.",
  );
});

test("the same tensors in another order are the same", () => {
  const one = new Map([
    ["a", tensor(1)],
    ["b", tensor(2)],
  ]);
  expect(() => requireSameTensors("weights", one, new Map([...one].reverse()))).not.toThrow();
});

test("a refusal of a thousand tensors with long names fits into a termination record", () => {
  const many = (prefix: string) =>
    new Map(Array.from({ length: 1_000 }, (_, index) => [`${prefix}${index}/${"x".repeat(300)}`, tensor(9, 9, 9)]));
  const script = new Map([...many("new"), ...many("both")]);
  const checkpoint = new Map([...many("old"), ...[...many("both")].map(([name]) => [name, tensor(1)] as const)]);
  const message = describeTensorDifferences(compareTensors(script, checkpoint));
  expect(message).toMatch(
    /^1000 missing in the checkpoint .*and 997 more\); 1000 not in the script .*; 1000 of another/,
  );
  const record = {
    kind: "incompatible",
    attempt: 1,
    checkpoint: `blake3:${"0".repeat(64)}`,
    message: message.slice(0, 700),
  };
  expect(TrainerRecord.safeParse(record).success).toBe(true);
  expect(message.length).toBeLessThan(1_200);
});
