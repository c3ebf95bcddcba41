import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, events, pods, type Resource } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { OperatorLife } from "./operator-life.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("a run that was left in a state nobody can go on from", () => {
  let namespace: string;
  let life: OperatorLife;
  const named = (resource: Resource, name: string) => ({ resource, namespace, name });
  const run = () => named(trainingRuns, "mnist");
  const pod = () => named(pods, "mnist-1-0");

  /** A run whose first pod stands, and no operator any more. */
  beforeEach(async () => {
    drawn += 1;
    namespace = `abandoned-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    await serve();
    await create();
    await until("the pod is on record", async () => {
      const { status } = await api.direct.get<KubeObject>(run(), forever);
      return (status as { attempts?: { pods: unknown[] }[] } | undefined)?.attempts?.[0]?.pods[0];
    });
    await life.kill();
  });

  afterEach(() => life.kill());

  async function serve(): Promise<void> {
    life = new OperatorLife(api.credentials, { watchNodes: false });
    await life.begin(namespace);
  }

  async function create(): Promise<void> {
    const spec = specWith({ checkpoint: { ...(specWith().checkpoint as object), interval: { steps: 100 } } });
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name: "mnist" }, spec };
    await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
  }

  it("is told, where it cannot be read, why nothing happens to it", async () => {
    const written = { status: { startTime: "2026-01-01T00:00:00+02:00" } };
    await api.direct.mergePatch({ ...run(), subresource: "status" }, written, forever);
    await serve();
    type Told = KubeObject & Readonly<{ type?: string; reason?: string; note?: string }>;
    const note = await until("the user is told", async () => {
      const { items } = await api.direct.list<Told>({ resource: events, namespace }, {}, forever);
      return items.find(({ type, reason }) => type === "Warning" && reason === "Unreadable")?.note;
    });
    expect(note).toContain("status.startTime");
    expect(note).toContain("until its fields are mended");
  });

  it("is let go, where it cannot be read, once its pods are stopped, and its claim stays", async () => {
    const unreadable = { status: { startTime: "2026-01-01T00:00:00+02:00" } };
    const { metadata } = await api.direct.mergePatch<KubeObject>(
      { ...run(), subresource: "status" },
      unreadable,
      forever,
    );
    await api.direct.remove(run(), { preconditions: { uid: metadata.uid } }, forever);
    await serve();
    const isGone = async (target: ReturnType<typeof run>) =>
      (await api.direct.get(target, forever).catch(isNotFound)) === true || undefined;
    await until("the pod is gone", () => isGone(pod()));
    await until("the run is gone", () => isGone(run()));
    const { items } = await api.direct.list<KubeObject>({ resource: claims, namespace }, {}, forever);
    expect(items.length).toBe(1);
    expect(life.errors).toEqual([]);
  });

  it.each([
    ["and nothing took its place", async () => undefined],
    ["and another one has its name", create],
  ])("has its pods let go where it was taken away past its finalizer, %s", async (_title, afterwards) => {
    const { metadata } = await api.direct.mergePatch<KubeObject>(run(), { metadata: { finalizers: null } }, forever);
    await api.direct.remove(run(), { preconditions: { uid: metadata.uid } }, forever);
    await afterwards();
    await serve();
    await until("the pod is let go", async () => {
      const { finalizers } = (await api.direct.get<KubeObject>(pod(), forever)).metadata;
      return finalizers === undefined || undefined;
    });
  });
});
