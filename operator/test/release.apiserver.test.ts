import { beforeEach, describe, expect, it } from "vitest";
import { accountingFinalizer, finalSaveFinalizer } from "../src/api/names.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { type ReleaseOptions, release } from "../src/release.ts";
import { useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("before an uninstall, an operator that does not end", () => {
  let namespace: string;
  let lines: string[];
  const run = () => ({ resource: trainingRuns, namespace, name: "mnist" });

  beforeEach(async () => {
    drawn += 1;
    lines = [];
    namespace = `release-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", spec: specWith() };
    const metadata = { name: "mnist", finalizers: [finalSaveFinalizer] };
    await api.direct.create({ resource: trainingRuns, namespace }, { ...object, metadata }, forever);
    await makePod({ name: "operator", labels: { app: "operator" } });
    await makePod({ name: "mnist-1-0", finalizers: [accountingFinalizer] });
  });

  async function makePod(metadata: object): Promise<void> {
    const spec = { containers: [{ name: "main", image: "image:1" }] };
    await api.direct.create({ resource: pods, namespace }, { apiVersion: "v1", kind: "Pod", metadata, spec }, forever);
  }

  const options = (timeoutSeconds: number): ReleaseOptions => ({
    client: api.direct,
    log: (_, message) => lines.push(message),
    operator: { namespace, deployment: "never-there", selector: "app=operator", lease: "operator" },
    watchNamespaces: [namespace],
    timeoutSeconds,
  });

  it("is waited for during half of the time, and then everything is let go all the same", async () => {
    expect(await release(options(2), forever)).toEqual({ runs: 1, pods: 1 });
    expect(lines[0]).toBe("the operator's pod does not end; going on without waiting for it");
    for (const { metadata } of [
      await api.direct.get<KubeObject>(run(), forever),
      await api.direct.get<KubeObject>({ resource: pods, namespace, name: "mnist-1-0" }, forever),
    ]) {
      expect(metadata.finalizers).toBeUndefined();
    }
  });

  it("and goes on putting its finalizer on is named by what it still holds when the time is over", async () => {
    const stop = new AbortController();
    const puttingOn = putOnUntil(stop.signal);
    const refused = expect(release(options(3), forever)).rejects;
    await refused.toMatchObject({
      name: "StillHeldError",
      message: `Cannot let every run and pod go because 3 s are over and TrainingRun ${namespace}/mnist may be held: uninstall again, or take the finalizers off by hand`,
    });
    stop.abort();
    await puttingOn;
  });

  it("ends with the reason of whoever stops it", async () => {
    await expect(release(options(60), { signal: AbortSignal.abort(new Error("received SIGTERM")) })).rejects.toThrow(
      "received SIGTERM",
    );
  });

  async function putOnUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await api.direct.mergePatch(run(), { metadata: { finalizers: [finalSaveFinalizer] } }, forever);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
});
