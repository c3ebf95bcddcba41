import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { DroppedFields, fieldOf } from "../src/control/kept-fields.ts";
import { refusalWords, type StatusWrite, writeStatus } from "../src/control/write-status.ts";
import { ApiError } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { until, useApiServer } from "./api-server.ts";
import { definitions } from "./custom-resource.ts";
import { checkpoint, digest } from "./records.ts";

const crdPath = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");
const namespace = "default";
const forever = { signal: new AbortController().signal };

const time = "2026-01-01T00:00:00Z";
const pods = [{ uid: "pod-0" }, { uid: "pod-1" }];
const attempt = { number: 1, generation: 1, pods, startTime: time };
const before: TrainingRunStatus = { attempt: 1, state: "Pending", attempts: [attempt] };
const ended = { ...attempt, endTime: time, cause: "Crashed", charge: "Failure" } as const;
const retry = { failures: 1, failuresLeft: 2, disruptions: 0, fruitless: 0 };

type Row = Readonly<{ field: string; decided: TrainingRunStatus; kind?: StatusWrite["kind"] }>;

/** What a pass decides that rests on a field, or only tells by it. */
const rows: readonly Row[] = [
  { field: "attempts.chargeDueTime", decided: { ...before, retry, attempts: [{ ...ended, chargeDueTime: time }] } },
  { field: "attempts.endTime", decided: { ...before, retry, attempts: [ended] } },
  {
    field: "attempts.pods.worker",
    decided: { ...before, attempts: [{ ...attempt, pods: [{ uid: "p", worker: 1 }] }] },
  },
  {
    field: "attempts.queue.group",
    decided: { ...before, attempts: [{ ...attempt, queue: { name: "a", group: "g" } }] },
  },
  { field: "attempts.workers", decided: { attempt: 2, attempts: [{ ...attempt, number: 2, workers: 3 }, ended] } },
  { field: "fencedAttempt", decided: { ...before, state: "Backoff", fencedAttempt: 1 } },
  { field: "removalTime", decided: { ...before, state: "Saving", removalTime: time } },
  { field: "retry.failuresLeft", decided: { ...before, retry, attempts: [ended] } },
  { field: "silence", decided: { ...before, state: "Fencing", silence: { attempt: 1, since: time, nodes: ["n"] } } },
  { field: "stop", decided: { ...before, state: "Saving", stop: { attempt: 1, cause: "Suspended", time } } },
  { field: "latestVerified", decided: { ...before, latestVerified: checkpoint(20, 1, "a") } },
  { field: "suspects", decided: { ...before, suspects: [{ step: 20, digest: digest("a"), stuckAt: 30 }] } },
  { field: "attempts.podHash", decided: { ...before, attempts: [{ ...attempt, podHash: "1" }] }, kind: "Whole" },
  { field: "graceNeededSeconds", decided: { ...before, graceNeededSeconds: 90 }, kind: "Whole" },
];

type Schema = { type?: string; properties?: Record<string, Schema>; items?: Schema; required?: string[] };

/** Takes a field out of a schema, as `attempts.pods.worker`. */
function strip(schema: Schema, [name = "", ...rest]: readonly string[]): void {
  const { properties = {}, required } = schema.items ?? schema;
  const field = properties[name];
  if (field === undefined) throw new Error(`Cannot strip ${name}: the schema does not have it`);
  if (rest.length > 0) {
    strip(field, rest);
    return;
  }
  delete properties[name];
  if (required?.includes(name)) required.splice(required.indexOf(name), 1);
}

/** The committed definition under a group of its own, with all of the status but one field. */
function strippedOf(committed: string, group: string, field: string): KubeObject {
  const crd = parse(committed);
  const { plural, kind, listKind, singular } = crd.spec.names;
  const [version] = crd.spec.versions;
  const { status } = version.schema.openAPIV3Schema.properties;
  strip(status, field.split("."));
  const spec = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  version.schema.openAPIV3Schema = { type: "object", properties: { spec, status } };
  crd.metadata = { name: `${plural}.${group}` };
  crd.spec = { ...crd.spec, group, names: { plural, kind, listKind, singular } };
  return crd;
}

describe("a status that is written where the CustomResourceDefinition is of another version", () => {
  const api = useApiServer();
  const made: string[] = [];
  const groupOf = ({ field }: Row) => `${field.toLowerCase()}.run-${process.pid}.test`;

  beforeAll(async () => {
    const committed = await readFile(crdPath, "utf8");
    for (const row of rows) {
      const crd = strippedOf(committed, groupOf(row), row.field);
      await api.direct.create({ resource: definitions }, crd, forever);
      made.push(crd.metadata.name);
    }
    for (const name of made) {
      await until("the CRD is established", async () => {
        const { status } = await api.direct.get<KubeObject>({ resource: definitions, name }, forever);
        const { conditions } = status as { conditions?: readonly { type: string; status: string }[] };
        return conditions?.some((each) => each.type === "Established" && each.status === "True") || undefined;
      });
    }
  }, 60_000);

  afterAll(async () => {
    for (const name of made) {
      const target = { resource: definitions, name };
      const { metadata } = await api.direct.get<KubeObject>(target, forever);
      await api.direct.remove(target, { preconditions: { uid: metadata.uid } }, forever);
    }
  });

  /** A run of a definition, and a client whose writes of a status come to it. */
  async function runOf(row: Row, name: string) {
    const resource = { ...trainingRuns, group: groupOf(row) };
    const target = { resource, namespace, name };
    const client: Pick<ApiClient, "strictMergePatch"> = {
      strictMergePatch: (each, patch, bound) => api.direct.strictMergePatch({ ...each, resource }, patch, bound),
    };
    const writer = {
      client,
      written: () => undefined,
      statusWritten: () => undefined,
      dropped: new DroppedFields(),
      now: Date.now,
    };
    const run = { apiVersion: `${resource.group}/v1alpha1`, kind: resource.kind, metadata: { name }, spec: {} };
    const fresh = await until("the API server serves the resource", () =>
      api.direct.create<KubeObject>({ resource, namespace }, run, forever).catch(() => undefined),
    );
    const found = () => api.direct.get<KubeObject>(target, forever);
    const write = (stored: TrainingRunStatus, decided: TrainingRunStatus, raw: KubeObject) =>
      writeStatus({ stored, decided, raw }, writer, forever);
    return { target, fresh, found, write };
  }

  it.each(rows)("without $field", async (row) => {
    const { fresh, found, write } = await runOf(row, "run");
    const first = await write({}, before, fresh);
    expect(first.kind).toBe("Whole");
    const second = await write(before, row.decided, first.raw);
    const { status } = await found();
    expect(second.kind).toBe(row.kind ?? "Refused");
    if (second.kind !== "Refused") return;
    const words = `Cannot keep status.${row.field}`;
    const condition = { type: "Progressing", reason: "StatusNotKept", message: expect.stringContaining(words) };
    expect(status).toEqual({ ...before, conditions: [expect.objectContaining(condition)] });
    expect(refusalWords(second)).toContain(words);
  });

  it.each(rows)("is refused whole where it has $field, and the field is named", async (row) => {
    const { target, fresh, found } = await runOf(row, "strict");
    const patch = { metadata: { resourceVersion: fresh.metadata.resourceVersion }, status: row.decided };
    const place = { ...target, subresource: "status" };
    const refusal = await api.direct.strictMergePatch(place, patch, forever).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ApiError);
    const { status, unknownFields } = refusal as ApiError;
    expect([status, [...new Set(unknownFields.map(fieldOf))]]).toEqual([422, [row.field]]);
    // Not even its version has moved: nothing was stored.
    expect(await found()).toEqual(fresh);
  });

  it("which is replaced by one without a field that stands on record is told of", async () => {
    const row: Row = { field: "other.silence", decided: before };
    const silent: TrainingRunStatus = { ...before, silence: { attempt: 1, since: time, nodes: ["n"] } };
    const committed = await readFile(crdPath, "utf8");
    const [whole, stripped] = ["observedGeneration", "silence"].map((field) =>
      strippedOf(committed, groupOf(row), field),
    );
    const { metadata } = await api.direct.create<KubeObject>({ resource: definitions }, whole, forever);
    made.push(metadata.name);
    const { fresh, found, write } = await runOf(row, "run");
    const first = await write({}, silent, fresh);
    expect(first.kind).toBe("Whole");
    const definition = { resource: definitions, name: metadata.name };
    await api.direct.mergePatch(definition, { spec: stripped?.spec }, forever);
    await until("the field is gone", async () => {
      const { status } = await found();
      return (status as TrainingRunStatus).silence === undefined || undefined;
    });
    const second = await write(silent, { ...silent, state: "Fencing" }, first.raw);
    expect(second.kind === "Refused" && refusalWords(second)).toContain("Cannot keep status.silence");
    expect((await found()).status).toMatchObject({ state: "Fencing", conditions: [{ reason: "StatusNotKept" }] });
  });
});
