import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { trainingRuns } from "../src/control/caches.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { events, pods } from "../src/kubernetes/resource.ts";
import { credentialsOf, type TestApiServer, testApiServer, testClient, until } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { OperatorLife } from "./operator-life.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };

let server: TestApiServer;
let credentials: Credentials;
let direct: ApiClient;
let drawn = 0;

beforeAll(async () => {
  server = await testApiServer();
  credentials = credentialsOf(server.kubeconfigPath);
  direct = testClient(credentials);
  await installTrainingRuns(direct);
});

afterAll(async () => {
  await credentials.close();
  await server.stop();
});

describe("a run that was left in a state nobody can go on from", () => {
  let namespace: string;
  let life: OperatorLife;
  const run = () => ({ resource: trainingRuns, namespace, name: "mnist" });
  const pod = () => ({ resource: pods, namespace, name: "mnist-1-0" });

  /** A run whose first pod stands, and no operator any more. */
  beforeEach(async () => {
    drawn += 1;
    namespace = `abandoned-${process.pid}-${drawn}`;
    await direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    await serve();
    await create();
    await until("the pod is on record", async () => {
      const { status } = await direct.get<KubeObject>(run(), forever);
      return (status as { attempts?: { pods: unknown[] }[] } | undefined)?.attempts?.[0]?.pods[0];
    });
    await life.kill();
  });

  afterEach(() => life.kill());

  async function serve(): Promise<void> {
    life = new OperatorLife(credentials, { watchNodes: false });
    await life.begin(namespace);
  }

  async function create(): Promise<void> {
    const spec = specWith({ checkpoint: { ...(specWith().checkpoint as object), interval: { steps: 100 } } });
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name: "mnist" }, spec };
    await direct.create({ resource: trainingRuns, namespace }, object, forever);
  }

  it("is told, where it cannot be read, why nothing happens to it", async () => {
    const written = { status: { startTime: "2026-01-01T00:00:00+02:00" } };
    await direct.mergePatch({ ...run(), subresource: "status" }, written, forever);
    await serve();
    type Told = KubeObject & Readonly<{ type?: string; reason?: string; note?: string }>;
    const note = await until("the user is told", async () => {
      const { items } = await direct.list<Told>({ resource: events, namespace }, {}, forever);
      return items.find(({ type, reason }) => type === "Warning" && reason === "Unreadable")?.note;
    });
    expect(note).toContain("status.startTime");
    expect(note).toContain("until its fields are mended");
  });

  it.each([
    ["and nothing took its place", async () => undefined],
    ["and another one has its name", create],
  ])("has its pods let go where it was taken away past its finalizer, %s", async (_title, afterwards) => {
    const { metadata } = await direct.mergePatch<KubeObject>(run(), { metadata: { finalizers: null } }, forever);
    await direct.remove(run(), { preconditions: { uid: metadata.uid } }, forever);
    await afterwards();
    await serve();
    await until("the pod is let go", async () => {
      const { finalizers } = (await direct.get<KubeObject>(pod(), forever)).metadata;
      return finalizers === undefined || undefined;
    });
  });
});
