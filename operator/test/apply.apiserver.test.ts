import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { parseTrainingRun, type TrainingRun } from "../src/api/training-run.ts";
import { apply, type Writers } from "../src/control/apply.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { Action } from "../src/core/decision.ts";
import { isConflict } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims } from "../src/kubernetes/resource.ts";
import { credentialsOf, type TestApiServer, testApiServer, testClient } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";

const namespace = "default";
const forever = { signal: new AbortController().signal };

describe("writing a decision to a real API server", () => {
  let server: TestApiServer;
  let credentials: Credentials;
  let client: ApiClient;
  let name: string;
  let raw: KubeObject;
  let written: string[];
  let drawn = 0;

  beforeAll(async () => {
    server = await testApiServer();
    credentials = credentialsOf(server.kubeconfigPath);
    client = testClient(credentials);
    await installTrainingRuns(client);
  });

  afterAll(async () => {
    await credentials.close();
    await server.stop();
  });

  beforeEach(async () => {
    drawn += 1;
    name = `apply-${process.pid}-${drawn}`;
    written = [];
    const run = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name, labels: { "kept-by": "nobody" } },
      spec: {
        template: { spec: { containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }] } },
        checkpoint: { volume: { claimName: "data" }, interval: { steps: 100 } },
      },
    };
    raw = await client.create<KubeObject>({ resource: trainingRuns, namespace }, run, forever);
  });

  const target = () => ({ resource: trainingRuns, namespace, name });
  const stored = () => client.get<KubeObject & { status?: TrainingRunStatus }>(target(), forever);

  function parsed(object: KubeObject): TrainingRun {
    const found = parseTrainingRun(object);
    if (found.kind === "Unreadable") throw new Error(found.message);
    return found.run;
  }

  function write(status: TrainingRunStatus, actions: readonly Action[] = [], seen: KubeObject = raw) {
    const writers: Writers = {
      client,
      written: (resource) => written.push(resource.plural),
      created: (created) => written.push(`created ${created}`),
      statusWritten: () => written.push("status"),
      now: () => 1_000,
    };
    return apply({ run: parsed(seen), raw: seen, decision: { status, actions, events: [] } }, writers, forever);
  }

  const claim = (over: Record<string, unknown> = {}): Action => ({
    kind: "CreateClaim",
    manifest: {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name, namespace, labels: { "trainingrun.dev/run-uid": raw.metadata.uid } },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...over },
    },
  });

  it("writes nothing where nothing changed", async () => {
    expect(await write({})).toEqual({ kind: "Written" });
    expect(written).toEqual([]);
    expect((await stored()).metadata.resourceVersion).toBe(raw.metadata.resourceVersion);
  });

  it("writes the status before the actions, and each of them once", async () => {
    await write({ attempt: 1, state: "Pending" }, [{ kind: "HoldRun" }, claim()]);
    expect(written).toEqual(["trainingruns", "status", "trainingruns", "persistentvolumeclaims", `created ${name}`]);
    const { metadata, status } = await stored();
    expect([metadata.finalizers, status]).toEqual([["trainingrun.dev/final-save"], { attempt: 1, state: "Pending" }]);
  });

  it("takes removed fields off and leaves the others", async () => {
    await write({
      attempt: 1,
      state: "Running",
      stop: { attempt: 1, cause: "Suspended", time: "2026-01-01T00:00:00Z" },
    });
    const seen = await stored();
    await write({ attempt: 1, state: "Suspended" }, [], seen);
    expect((await stored()).status).toEqual({ attempt: 1, state: "Suspended" });
  });

  it("does nothing at all on a picture that is old", async () => {
    await client.mergePatch(target(), { metadata: { labels: { changed: "meanwhile" } } }, forever);
    const error = await write({ attempt: 1 }, [claim()]).catch((thrown: unknown) => thrown);
    expect(isConflict(error)).toBe(true);
    expect(written).toEqual([]);
    const left = await client
      .get({ resource: claims, namespace, name }, forever)
      .catch((thrown: unknown) => String(thrown));
    expect(left).toContain("404 NotFound");
  });

  it("does nothing to a run that was made anew under the name", async () => {
    await client.remove(target(), { preconditions: { uid: raw.metadata.uid } }, forever);
    const { metadata: _, ...rest } = raw;
    await client.create({ resource: trainingRuns, namespace }, { ...rest, metadata: { name } }, forever);
    const error = await write({ attempt: 7 }, [{ kind: "HoldRun" }]).catch((thrown: unknown) => thrown);
    expect(isConflict(error)).toBe(true);
    const { metadata, status } = await stored();
    expect([metadata.finalizers, status]).toEqual([undefined, undefined]);
  });

  it("takes only its own finalizer off the run", async () => {
    const finalizers = ["example.com/other", "trainingrun.dev/final-save"];
    const held = await client.mergePatch<KubeObject>(target(), { metadata: { finalizers } }, forever);
    await write({}, [{ kind: "ReleaseRun" }], held);
    expect((await stored()).metadata.finalizers).toEqual(["example.com/other"]);
    await client.mergePatch(target(), { metadata: { finalizers: null } }, forever);
  });

  it("stops at a creation that is refused, and reports the server's words", async () => {
    const applied = await write({ attempt: 1 }, [claim({ accessModes: ["Sometimes"] }), { kind: "HoldRun" }]);
    expect(applied).toMatchObject({
      kind: "Refused",
      refusal: { kind: "PersistentVolumeClaim", name, status: 422, reason: "Invalid", at: 1_000 },
    });
    expect(applied.kind === "Refused" && applied.refusal.message).toContain('Unsupported value: "Sometimes"');
    expect(written).toEqual(["trainingruns", "status"]);
    expect((await stored()).metadata.finalizers).toBeUndefined();
  });

  it("counts a claim of the same run as created, and no other", async () => {
    await write({}, [claim()]);
    written.length = 0;
    await write({}, [claim()], await stored());
    expect(written).toEqual(["persistentvolumeclaims", `created ${name}`]);
    await client.mergePatch(
      { resource: claims, namespace, name },
      { metadata: { labels: { "trainingrun.dev/run-uid": "other" } } },
      forever,
    );
    expect(await write({}, [claim()], await stored())).toMatchObject({
      kind: "Refused",
      refusal: { status: 409, reason: "AlreadyExists" },
    });
  });
});
