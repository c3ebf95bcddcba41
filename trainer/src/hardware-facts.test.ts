import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hardwareFacts } from "./hardware-facts.ts";

const version =
  "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12\n";

function driverDirectory(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), "driver-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

test("a GPU is known by its driver's version and its model", () => {
  const information = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 312\n";
  const directory = driverDirectory({ version, "gpus/0000:01:00.0/information": information });
  expect(hardwareFacts("gpu", directory)).toEqual({ model: "NVIDIA H100 80GB HBM3", driver: "535.104.05" });
});

test("the open kernel module says its version in other words", () => {
  const open =
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder@x)  Tue Mar\n";
  expect(hardwareFacts("gpu", driverDirectory({ version: open }))).toEqual({ driver: "550.54.15" });
});

test("what cannot be read is not known", () => {
  expect(hardwareFacts("gpu", driverDirectory({}))).toEqual({});
});

test("a processor is known by its model, and no driver has a part in it", () => {
  expect(Object.keys(hardwareFacts("cpu", driverDirectory({ version })))).not.toContain("driver");
});
