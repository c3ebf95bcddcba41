import { expect, it } from "vitest";
import { storedRun } from "../../test/run-builder.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { parsedRun } from "./run-cache.ts";

it("parses each state of a run once", () => {
  const first = storedRun() as KubeObject;
  const second = storedRun({ metadata: { resourceVersion: "2" } }) as KubeObject;
  expect(parsedRun(first)).toBe(parsedRun(first));
  expect(parsedRun(second)).not.toBe(parsedRun(first));
  expect(parsedRun(second)).toMatchObject({ kind: "Run", run: { metadata: { resourceVersion: "2" } } });
});
