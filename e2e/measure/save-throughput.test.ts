import { describe, expect, test } from "vitest";
import { restoreThroughputResult } from "./restore-throughput.ts";
import { holds } from "./result.ts";
import { saveThroughputResult } from "./save-throughput.ts";
import { type Row, rowOf } from "./save-throughput-rounds.ts";

const gigabyte = 1e9;
const command = ["true"];

function row(name: string, bytesPerSecond: number | null): Row {
  return {
    name,
    bytesPerSecond,
    gigabytesPerSecond: [],
    cpuSeconds: null,
    peakMebibytes: null,
    mebibytes: 100,
    deviceMebibytes: 100,
    problem: bytesPerSecond === null ? "skipped: not here" : null,
  };
}

const saves = {
  "save-ours": 1.6,
  "save-library": 1.7,
  "save-device": 1.7,
  "save-buffered": 1,
  "save-tfjs": 0.5,
  "safetensors-numpy": 1.2,
  "safetensors-torch": 1,
  "torch-save": 0.6,
};

describe("the save measure", () => {
  const table: readonly [string, Partial<Record<keyof typeof saves, number | null>>, boolean][] = [
    ["everything is as fast as it should be", {}, true],
    ["the device would do more", { "save-device": 1.9 }, false],
    ["safetensors is close behind, by either of its ways", { "safetensors-torch": 1.3 }, false],
    ["torch.save is close behind", { "torch-save": 0.7 }, false],
    ["there is no torch to compare with", { "torch-save": null }, false],
    ["ours did not come to its end", { "save-ours": null }, false],
    ["TensorFlow.js is not built, for which there is no goal", { "save-tfjs": null }, true],
  ];
  test.each(table)("where %s", (_what, change, expected) => {
    const rows = Object.entries({ ...saves, ...change }).map(([name, speed]) => row(name, speed));
    expect(holds(saveThroughputResult({ "1GiB": rows }, "0xef53"))).toBe(expected);
  });

  test("fails where one of two sizes does", () => {
    const rows = Object.entries(saves).map(([name, speed]) => row(name, speed));
    const slow = rows.map((one) => (one.name === "save-ours" ? row(one.name, 1) : one));
    expect(holds(saveThroughputResult({ small: rows, large: slow }, "0xef53"))).toBe(false);
  });
});

const reads = { "read-restore": 1.4, "read-load": 1.36, "read-plain": 1.2, "read-device": 1.5, hash: 3 };

describe("the restore measure", () => {
  const table: readonly [string, Partial<Record<keyof typeof reads, number | null>>, boolean][] = [
    ["everything is as fast as it should be", {}, true],
    ["verifying costs more than a fifth of a plain read", { "read-plain": 1.8, "read-load": 1.5 }, false],
    ["loading does", { "read-load": 0.9, hash: 0.95 }, false],
    ["the hash alone limits what could be read faster", { "read-plain": 1.6, hash: 1.5 }, true],
    ["something else keeps the hash waiting, although a plain read is faster", { "read-plain": 1.7, hash: 1.6 }, false],
    ["the device gives more than a plain read takes, for which there is no goal", { "read-device": 2 }, true],
    ["there was nothing to compare with", { "read-plain": null }, false],
    ["nor a hash", { hash: null }, false],
  ];
  test.each(table)("where %s", (_what, change, expected) => {
    const rows = Object.entries({ ...reads, ...change }).map(([name, speed]) => row(name, speed));
    expect(holds(restoreThroughputResult({ "1GiB": rows }, "0xef53"))).toBe(expected);
  });

  test("shows nothing where the page cache had some of the bytes, once", () => {
    const rows = Object.entries(reads).map(([name, speed]) => row(name, speed));
    const warm = rows.map((one) => (one.name === "read-plain" ? { ...one, deviceMebibytes: 90 } : one));
    expect(holds(restoreThroughputResult({ "1GiB": warm }, "0xef53"))).toBe(false);
  });
});

describe("a contender's rounds", () => {
  const timing = (seconds: number) => ({ seconds, cpuSeconds: seconds / 2, peakBytes: seconds * 2 ** 20 });

  test("come to their median, the largest peak, and each speed in its order", () => {
    expect(rowOf({ name: "one", command }, [timing(4), timing(1), timing(2)], 4 * gigabyte)).toEqual({
      name: "one",
      bytesPerSecond: 2 * gigabyte,
      gigabytesPerSecond: [1, 4, 2],
      cpuSeconds: 1,
      peakMebibytes: 4,
      mebibytes: (4 * gigabyte) / 2 ** 20,
      deviceMebibytes: null,
      problem: null,
    });
  });

  test("come to nothing where one of them failed, and to the reason", () => {
    const row = rowOf({ name: "one", command }, [timing(1), { error: "exit code 1: MemoryError" }], gigabyte);
    expect(row).toMatchObject({ bytesPerSecond: null, cpuSeconds: null, problem: "exit code 1: MemoryError" });
  });

  test("say why there were none", () => {
    const row = rowOf({ name: "one", command, skipped: "no Python" }, [], gigabyte);
    expect(row).toMatchObject({ bytesPerSecond: null, problem: "skipped: no Python" });
  });
});
