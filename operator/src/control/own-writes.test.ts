import { beforeEach, describe, expect, it } from "vitest";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { pods, services } from "../kubernetes/resource.ts";
import { OwnWrites } from "./own-writes.ts";

const written = (resourceVersion: string): KubeObject => ({
  metadata: { name: "p", namespace: "a", uid: "u", resourceVersion, labels: { kept: "yes" } },
});

describe("own writes", () => {
  let seenUpTo: bigint;
  let listedAt: number;
  let writes: OwnWrites;

  beforeEach(() => {
    seenUpTo = 10n;
    listedAt = performance.now();
    writes = new OwnWrites({
      hasSeen: (resource, _, { resourceVersion, at }) => {
        if (resource.plural === "services") return true;
        return seenUpTo >= BigInt(resourceVersion) || listedAt > at;
      },
      keeps: (_, { metadata }) => metadata.labels?.kept === "yes",
    });
  });

  it("hold a run back until the caches show all of them", () => {
    writes.note("a/r", pods, written("11"));
    writes.note("a/r", pods, written("12"));
    expect([writes.areSeen("a/r"), writes.areSeen("a/other")]).toEqual([false, true]);
    seenUpTo = 11n;
    expect(writes.areSeen("a/r")).toBe(false);
    seenUpTo = 12n;
    expect(writes.areSeen("a/r")).toBe(true);
  });

  it("do not wait for a kind that is not watched, or for an answer without a version", () => {
    writes.note("a/r", services, written("99"));
    writes.note("a/r", pods, { metadata: {} } as KubeObject);
    expect(writes.areSeen("a/r")).toBe(true);
  });

  it("do not wait for an object that the watch does not show", () => {
    const { metadata } = written("11");
    writes.note("a/r", pods, { metadata: { ...metadata, labels: {} } });
    expect(writes.areSeen("a/r")).toBe(true);
  });

  it("are seen in a list asked for later, although their version never comes", () => {
    writes.note("a/r", pods, written("777"));
    expect(writes.areSeen("a/r")).toBe(false);
    listedAt = performance.now() + 1;
    expect(writes.areSeen("a/r")).toBe(true);
  });
});
