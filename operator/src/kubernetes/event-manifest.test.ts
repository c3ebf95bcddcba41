import { describe, expect, it } from "vitest";
import { eventManifest, eventName, type Occurrence, seriesPatch, type Told, toldOf } from "./event-manifest.ts";
import { pods } from "./resource.ts";

const occurrence = (name: string): Occurrence => ({
  regarding: {
    metadata: { name, namespace: "team", uid: "u", resourceVersion: "7", labels: { large: "x".repeat(60) } },
    status: { much: "of no use here" },
  },
  resource: pods,
  type: "Warning",
  reason: "Preempted",
  action: "Decided",
  note: "The node is drained.",
});
const told = (name: string): Told => toldOf(occurrence(name));

describe("an event", () => {
  it("refers to its object, and keeps nothing else of it", () => {
    expect(told("mnist")).toEqual({
      regarding: { apiVersion: "v1", kind: "Pod", namespace: "team", name: "mnist", uid: "u", resourceVersion: "7" },
      type: "Warning",
      reason: "Preempted",
      action: "Decided",
      note: "The node is drained.",
    });
  });

  it("is a series only where it was told more than once", () => {
    const reporter = { controller: "trainingrun.dev/operator", instance: "pod-1" };
    const at = { firstAt: Date.UTC(2026, 0, 2), lastAt: Date.UTC(2026, 0, 3, 4, 5, 6, 78) };
    const once = eventManifest(told("mnist"), "e", reporter, { ...at, count: 1 });
    expect(once).toMatchObject({
      metadata: { namespace: "team", name: "e" },
      eventTime: "2026-01-02T00:00:00.000000Z",
      reportingController: "trainingrun.dev/operator",
      reportingInstance: "pod-1",
    });
    expect(once).not.toHaveProperty("series");
    const series = { count: 3, lastObservedTime: "2026-01-03T04:05:06.078000Z" };
    expect(eventManifest(told("mnist"), "e", reporter, { ...at, count: 3 })).toMatchObject({ series });
    expect(seriesPatch({ ...at, count: 3 })).toEqual({ series });
  });

  const names: readonly [title: string, name: string, event: RegExp][] = [
    ["its object", "mnist", /^mnist\.[0-9a-f]{16}$/],
    ["an object whose name has the longest length", "a".repeat(253), /^a{236}\.[0-9a-f]{16}$/],
    [
      "an object whose name is cut off at a separator",
      `${"a".repeat(234)}.-${"b".repeat(17)}`,
      /^a{234}\.[0-9a-f]{16}$/,
    ],
  ];
  it.each(names)("has a name that begins with %s", (_, name, event) => {
    expect(eventName(told(name), ["pod-1", 1])).toMatch(event);
  });

  it("has the same name for the same parts alone", () => {
    const name = (...parts: (string | number)[]) => eventName(told("mnist"), parts);
    expect(name("pod-1", 1)).toBe(name("pod-1", 1));
    expect(new Set([name("pod-1", 1), name("pod-1", 2), name("pod-2", 1), name("pod-11")]).size).toBe(4);
  });
});
