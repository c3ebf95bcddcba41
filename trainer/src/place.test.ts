import { resolve } from "node:path";
import { expect, test } from "vitest";
import { bestAt, readPlace } from "./place.ts";

const pod = {
  TRAININGRUN_NAME: "digits",
  TRAININGRUN_NAMESPACE: "default",
  TRAININGRUN_UID: "0b1c",
  TRAININGRUN_ATTEMPT: "4",
  TRAININGRUN_WORKER: "0",
  TRAININGRUN_WORKERS: "1",
  TRAININGRUN_CHECKPOINTS: "/trainingrun/checkpoints",
  TRAININGRUN_RESUME: "/trainingrun/resume",
  TRAININGRUN_CONTROL: "/trainingrun/control",
  TRAININGRUN_TERMINATION_LOG: "/dev/termination-log",
  TRAININGRUN_GRACE_SECONDS: "15",
  TRAININGRUN_INTERVAL: '{"steps":100}',
};

test("a pod is what its variables say, and the script's own wishes do not count there", () => {
  expect(readPlace(pod, { directory: "elsewhere", interval: { steps: 1 } })).toEqual({
    kind: "pod",
    runUid: "0b1c",
    attempt: 4,
    worker: 0,
    checkpoints: "/trainingrun/checkpoints",
    volume: "Durable",
    control: "/trainingrun/control",
    terminationLog: "/dev/termination-log",
    interval: { steps: 100 },
    graceSeconds: 15,
  });
});

test("a pod is told whether what it saves outlives it", () => {
  expect(readPlace({ ...pod, TRAININGRUN_VOLUME: "Ephemeral" }, {})).toMatchObject({ volume: "Ephemeral" });
});

test("a pod is told whether a standstill is watched for, and after how long", () => {
  expect(readPlace({ ...pod, TRAININGRUN_STALL_SECONDS: "900" }, {})).toMatchObject({ stallSeconds: 900 });
});

test("a script that names no best of its own goes by what retention ranks by, and only in a pod that is told", () => {
  const best = { metric: "accuracy", mode: "Max" } as const;
  const own = { metric: "loss", mode: "Min" } as const;
  const told = readPlace({ ...pod, TRAININGRUN_BEST: JSON.stringify(best) }, {});
  expect([bestAt(told, undefined), bestAt(told, own)]).toEqual([best, own]);
  expect([bestAt(readPlace(pod, {}), undefined), bestAt(readPlace({}, {}), own)]).toEqual([undefined, own]);
});

test("without any of the variables a script trains at hand, in ./checkpoints", () => {
  expect(readPlace({ PATH: "/bin", TRAININGRUN_CACHE: "/cache" }, {})).toEqual({
    kind: "local",
    runUid: "local",
    checkpoints: resolve("checkpoints"),
    interval: { auto: { maxSeconds: 60 } },
    graceSeconds: 30,
  });
});

test.each([
  ["one is missing", { ...pod, TRAININGRUN_ATTEMPT: undefined }, /TRAININGRUN_ATTEMPT/],
  ["the attempt is no number", { ...pod, TRAININGRUN_ATTEMPT: "first" }, /TRAININGRUN_ATTEMPT/],
  ["the interval is no JSON", { ...pod, TRAININGRUN_INTERVAL: "often" }, /must be JSON: often/],
  ["only one is there", { TRAININGRUN_NAME: "digits" }, /TRAININGRUN_UID/],
])("where %s, nothing is guessed", (_, environment, message) => {
  expect(() => readPlace(environment, {})).toThrow(message);
});
