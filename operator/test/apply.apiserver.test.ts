import { beforeEach, describe, expect, it } from "vitest";
import type { Condition } from "../src/api/conditions.ts";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { parseTrainingRun, type TrainingRun } from "../src/api/training-run.ts";
import { apply, type Writers } from "../src/control/apply.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { DroppedFields } from "../src/control/kept-fields.ts";
import { refusalWords } from "../src/control/write-status.ts";
import type { Action } from "../src/core/decision.ts";
import { isConflict } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims } from "../src/kubernetes/resource.ts";
import { credentialsOf, testClient, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FaultProxy, type Seen } from "./fault-proxy.ts";

const namespace = "default";
const forever = { signal: new AbortController().signal };

describe("writing a decision to a real API server", () => {
  const api = useApiServer(installTrainingRuns);
  let name: string;
  let raw: KubeObject;
  let written: string[];
  let drawn = 0;

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
    raw = await api.direct.create<KubeObject>({ resource: trainingRuns, namespace }, run, forever);
  });

  const target = () => ({ resource: trainingRuns, namespace, name });
  const stored = () => api.direct.get<KubeObject & { status?: TrainingRunStatus }>(target(), forever);

  function parsed(object: KubeObject): TrainingRun {
    const found = parseTrainingRun(object);
    if (found.kind === "Unreadable") throw new Error(found.message);
    return found.run;
  }

  function write(
    status: TrainingRunStatus,
    actions: readonly Action[] = [],
    seen: KubeObject = raw,
    client: ApiClient = api.direct,
  ) {
    const writers: Writers = {
      client,
      written: (resource) => written.push(resource.plural),
      created: (created) => written.push(`created ${created}`),
      statusWritten: () => written.push("status"),
      dropped: new DroppedFields(),
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
    expect(await write({})).toEqual({ status: { kind: "Whole", raw }, done: [], stopped: undefined });
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
    await api.direct.mergePatch(target(), { metadata: { labels: { changed: "meanwhile" } } }, forever);
    const error = await write({ attempt: 1 }, [claim()]).catch((thrown: unknown) => thrown);
    expect(isConflict(error)).toBe(true);
    expect(written).toEqual([]);
    const left = await api.direct
      .get({ resource: claims, namespace, name }, forever)
      .catch((thrown: unknown) => String(thrown));
    expect(left).toContain("404 NotFound");
  });

  it("does nothing to a run that was made anew under the name", async () => {
    await api.direct.remove(target(), { preconditions: { uid: raw.metadata.uid } }, forever);
    const { metadata: _, ...rest } = raw;
    await api.direct.create({ resource: trainingRuns, namespace }, { ...rest, metadata: { name } }, forever);
    const error = await write({ attempt: 7 }, [{ kind: "HoldRun" }]).catch((thrown: unknown) => thrown);
    expect(isConflict(error)).toBe(true);
    const { metadata, status } = await stored();
    expect([metadata.finalizers, status]).toEqual([undefined, undefined]);
  });

  it("takes only its own finalizer off the run", async () => {
    const finalizers = ["example.com/other", "trainingrun.dev/final-save"];
    const held = await api.direct.mergePatch<KubeObject>(target(), { metadata: { finalizers } }, forever);
    await write({}, [{ kind: "ReleaseRun" }], held);
    expect((await stored()).metadata.finalizers).toEqual(["example.com/other"]);
    await api.direct.mergePatch(target(), { metadata: { finalizers: null } }, forever);
  });

  it("stops at a creation that is refused, and reports the server's words", async () => {
    const applied = await write({ attempt: 1 }, [claim({ accessModes: ["Sometimes"] }), { kind: "HoldRun" }]);
    expect(applied).toMatchObject({
      status: { kind: "Whole" },
      done: [],
      stopped: { refusal: { kind: "PersistentVolumeClaim", name, status: 422, reason: "Invalid", at: 1_000 } },
    });
    expect(applied.stopped?.refusal?.message).toContain('Unsupported value: "Sometimes"');
    expect(written).toEqual(["trainingruns", "status"]);
    expect((await stored()).metadata.finalizers).toBeUndefined();
  });

  it("counts a claim of the same run as created, and no other", async () => {
    await write({}, [claim()]);
    written.length = 0;
    await write({}, [claim()], await stored());
    expect(written).toEqual(["persistentvolumeclaims", `created ${name}`]);
    await api.direct.mergePatch(
      { resource: claims, namespace, name },
      { metadata: { labels: { "trainingrun.dev/run-uid": "other" } } },
      forever,
    );
    expect(await write({}, [claim()], await stored())).toMatchObject({
      stopped: { refusal: { status: 409, reason: "AlreadyExists" } },
    });
  });

  describe("with a status that the API server will not have", () => {
    const time = "2026-01-01T00:00:00Z";
    const entry = { number: 1, generation: 1, pods: [], startTime: time };
    const ended = { ...entry, endTime: time, cause: "Crashed", charge: "Failure" } as const;
    const progress = { step: 7, metrics: [], lastUpdateTime: time, history: [] };
    const condition = (over: Partial<Condition>): Condition => ({
      type: "Progressing",
      status: "False",
      lastTransitionTime: time,
      reason: "Crashed",
      message: "It crashed.",
      ...over,
    });

    it("keeps what is stored of the fields refused, writes the others, and does the actions", async () => {
      await write({ progress, conditions: [condition({})] });
      const decided = { attempt: 1, state: "Running", progress: { ...progress, step: 8, percentage: 200 } } as const;
      const applied = await write({ ...decided, conditions: [condition({})] }, [{ kind: "HoldRun" }], await stored());
      expect(applied).toMatchObject({ status: { kind: "Reduced", fields: ["progress"] }, done: [{ kind: "HoldRun" }] });
      expect(applied.status.kind !== "Whole" && refusalWords(applied.status)).toMatch(
        /^The run goes on.*in status: progress\. The API server refused the status:.*status\.progress\.percentage/,
      );
      const { metadata, status } = await stored();
      expect(metadata.finalizers).toEqual(["trainingrun.dev/final-save"]);
      expect(status).toEqual({ attempt: 1, state: "Running", progress, conditions: [condition({})] });
    });

    it("counts an attempt without its words, and turns a condition without them", async () => {
      await write({ attempt: 1, attempts: [entry], conditions: [condition({}), condition({ type: "Failed" })] });
      const words = condition({ reason: "no word", message: "Something else." });
      const failed = condition({ type: "Failed", status: "True", reason: "no word" });
      const told = { ...ended, message: "x".repeat(2_000), exitCode: 1, lastStep: 7, lostSteps: 3 };
      const before = await stored();
      const applied = await write({ attempt: 1, attempts: [told], conditions: [words, failed] }, [], before);
      expect(applied.status).toMatchObject({ kind: "Reduced", fields: ["attempts", "conditions"] });
      const after = await stored();
      expect(after.status?.attempts).toEqual([{ ...ended, lastStep: 7, lostSteps: 3 }]);
      expect(after.status?.conditions).toEqual([
        condition({}),
        { ...failed, reason: "StatusRefused", message: expect.stringContaining("an event of the run says why") },
      ]);
      await write({ attempt: 1, attempts: [told], conditions: [words, failed] }, [], after);
      expect((await stored()).metadata.resourceVersion).toBe(after.metadata.resourceVersion);
    });

    it("counts an attempt without its cause where the CRD is older than the cause", async () => {
      const unknown = { ...ended, cause: "Rebalanced" as "Crashed" };
      const applied = await write({ attempt: 1, attempts: [unknown] });
      expect(applied.status).toMatchObject({ kind: "Reduced", fields: ["attempts", "attempts.cause"] });
      const { cause: _, ...counted } = ended;
      expect((await stored()).status).toEqual({ attempt: 1, attempts: [counted] });
    });

    it("falls back to the smallest one where the server names no field", async () => {
      const proxy = new FaultProxy(api.credentials);
      const credentials = credentialsOf(await proxy.start());
      const toStatus = ({ method, path }: Seen) => method === "PATCH" && path.includes("/status");
      proxy.fail(toStatus, { kind: "Answer", status: 403, body: { kind: "Status", message: "denied the request" } });
      const client = testClient(credentials);
      const applied = await write({ attempt: 1, state: "Running", progress }, [{ kind: "HoldRun" }], raw, client);
      await credentials.close();
      await proxy.stop();
      expect(applied).toMatchObject({ status: { kind: "Reduced" }, done: [{ kind: "HoldRun" }] });
      expect((await stored()).status).toEqual({ attempt: 1 });
    });

    const uncountable: TrainingRunStatus = { attempt: -1, attempts: [entry], state: "Pending" };

    it("creates nothing where the attempt's number cannot be written", async () => {
      const applied = await write(uncountable, [{ kind: "HoldRun" }, claim()]);
      expect(applied).toMatchObject({ status: { kind: "Refused" }, done: [], stopped: undefined });
      expect(applied.status.kind !== "Whole" && refusalWords(applied.status)).toMatch(
        /^Nothing begins for the run .*status\.attempt/,
      );
      expect(written).toEqual([]);
      expect((await stored()).metadata.finalizers).toBeUndefined();
    });

    it("lets a deleted run go all the same", async () => {
      const finalizers = ["example.com/other", "trainingrun.dev/final-save"];
      const { metadata } = await api.direct.mergePatch<KubeObject>(target(), { metadata: { finalizers } }, forever);
      await api.direct.remove(target(), { preconditions: { uid: metadata.uid } }, forever);
      const applied = await write(uncountable, [{ kind: "ReleaseRun" }], await stored());
      expect(applied).toMatchObject({ status: { kind: "Refused" }, done: [{ kind: "ReleaseRun" }] });
      expect((await stored()).metadata.finalizers).toEqual(["example.com/other"]);
      await api.direct.mergePatch(target(), { metadata: { finalizers: null } }, forever);
    });
  });
});
