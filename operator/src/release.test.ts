import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Asked, type Scripted, scriptedClient } from "../test/scripted-client.ts";
import { finalSaveFinalizer } from "./api/names.ts";
import { type ReleaseOptions, release } from "./release.ts";

const forever = { signal: new AbortController().signal };
const denied = { kind: "Status", reason: "Forbidden", message: 'User "operator" cannot list resource "trainingruns"' };

describe("before an uninstall, a namespace that may not be looked into", () => {
  let refusals: number;
  let isHeld: boolean;
  let lines: string[];
  let leaseAnswer: (method: string) => Scripted;

  beforeEach(() => {
    vi.useFakeTimers();
    isHeld = true;
    refusals = 0;
    lines = [];
    leaseAnswer = () => ({ status: 404, body: { kind: "Status", reason: "NotFound", message: "none" } });
  });
  afterEach(() => void vi.useRealTimers());

  function answer({ method, path }: Asked): Scripted {
    const found = {
      metadata: { name: "mnist", namespace: "a", uid: "u", resourceVersion: "1", finalizers: [finalSaveFinalizer] },
    };
    if (path.includes("/leases/")) return leaseAnswer(method);
    if (path.includes("/namespaces/ops/")) return { status: 200, body: { metadata: {}, items: [] } };
    if (method === "PATCH") {
      isHeld = false;
      return { status: 200, body: found };
    }
    if (path.includes("/namespaces/a/") && refusals > 0) {
      refusals -= 1;
      return { status: 403, body: denied };
    }
    return { status: 200, body: { metadata: {}, items: isHeld && path.includes("/a/trainingruns") ? [found] : [] } };
  }

  async function released(): Promise<Readonly<{ end: unknown; seconds: number }>> {
    const startedAt = Date.now();
    const options: ReleaseOptions = {
      client: scriptedClient(answer),
      log: (_, message, fields) => lines.push(`${message}: ${fields?.namespace ?? fields?.object ?? fields?.lease}`),
      operator: { namespace: "ops", deployment: "operator", selector: "app=operator", lease: "operator" },
      watchNamespaces: ["a", "b"],
      timeoutSeconds: 60,
    };
    const ending = release(options, forever).then((end) => ({ end, seconds: (Date.now() - startedAt) / 1000 }));
    await vi.advanceTimersByTimeAsync(60_000);
    return await ending;
  }

  it("is looked into again, since a server that has only just started refuses everybody", async () => {
    refusals = 4;
    expect(await released()).toEqual({ end: { runs: 1, pods: 0 }, seconds: 2.5 });
    expect(lines).toEqual(["took the finalizer off: a/mnist"]);
  });

  it("is let go as well where the operator's Lease cannot be removed", async () => {
    leaseAnswer = () => ({ status: 403, body: denied });
    expect(await released()).toEqual({ end: { runs: 1, pods: 0 }, seconds: 0.5 });
    expect(lines).toEqual(["the Lease stays: ops/operator", "took the finalizer off: a/mnist"]);
  });

  it("is left out where the refusal lasts", async () => {
    refusals = Number.POSITIVE_INFINITY;
    expect(await released()).toEqual({ end: { runs: 0, pods: 0 }, seconds: 5 });
    expect(lines).toEqual(["a namespace is left out, because it is gone or its Role is: a"]);
  });
});
