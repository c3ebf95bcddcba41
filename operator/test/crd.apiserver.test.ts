import { randomUUID } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseTrainingRun } from "../src/api/training-run.ts";
import { ApiError } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import type { Target } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { type Fields, specWith } from "./run-builder.ts";
import { editCases, schemaCases } from "./schema-cases.ts";

const crdPath = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");
const namespace = `crd-${randomUUID().slice(0, 8)}`;
const signal = AbortSignal.timeout(170_000);
const bound = { signal };
const runs: Target = {
  resource: {
    group: "trainingrun.dev",
    version: "v1alpha1",
    plural: "trainingruns",
    kind: "TrainingRun",
    scope: "Namespaced",
  },
  namespace,
};

const api = useApiServer();

/** The API server's words, or null where it took the object. */
async function answer(act: () => Promise<unknown>): Promise<string | null> {
  try {
    await act();
    return null;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

function manifest(name: string, spec: Fields): Fields {
  return {
    apiVersion: "trainingrun.dev/v1alpha1",
    kind: "TrainingRun",
    metadata: { name, namespace },
    spec: specWith(spec),
  };
}

beforeAll(async () => {
  const crds: Target = {
    resource: {
      group: "apiextensions.k8s.io",
      version: "v1",
      plural: "customresourcedefinitions",
      kind: "CustomResourceDefinition",
      scope: "Cluster",
    },
  };
  const crd: unknown = parse(readFileSync(crdPath, "utf8"));
  const refusal = await answer(() => api.direct.create(crds, crd, bound));
  if (refusal !== null && !refusal.includes("already exists")) throw new Error(refusal);
  const core = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
  await api.direct.create(
    { resource: core },
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    bound,
  );
  await until("the API server serves the resource", async () => {
    const gone = await answer(() => api.direct.list(runs, {}, bound));
    return gone === null ? true : undefined;
  });
}, 180_000);

describe("the CRD, on a real API server", () => {
  test("is far below the size that objects may have", () => {
    expect(statSync(crdPath).size).toBeLessThan(200 * 1024);
  });

  test.each(schemaCases)("$title", async ({ title, name, spec, refusal }) => {
    const run = manifest(name ?? `case-${schemaCases.findIndex((each) => each.title === title)}`, spec);
    const said = await answer(() => api.direct.create(runs, run, bound));
    if (refusal === null) expect(said).toBeNull();
    else expect(said).toContain(refusal);
  });

  test.each(editCases)("an edit: $title", async ({ title, before, after, refusal }) => {
    const name = `edit-${editCases.findIndex((each) => each.title === title)}`;
    await api.direct.create<KubeObject>(runs, manifest(name, before), bound);
    const patch = { spec: withRemovals(specWith(before), specWith(after)) };
    const said = await answer(() => api.direct.mergePatch({ ...runs, name }, patch, bound));
    if (refusal === null) expect(said).toBeNull();
    else expect(said).toContain(refusal);
  });

  test("what the API server stores with its defaults is what the operator reads with its own", async () => {
    await api.direct.create(runs, manifest("defaults", {}), bound);
    const stored = await api.direct.get<KubeObject & { spec: unknown }>({ ...runs, name: "defaults" }, bound);
    const read = parseTrainingRun(stored);
    expect(read.kind === "Run" && read.run.spec).toEqual(stored.spec);
  });
});

/** A merge patch that leaves nothing of what the new spec does not have. */
function withRemovals(before: Fields, after: Fields): Fields {
  const removed = Object.keys(before).filter((key) => !(key in after));
  const kept = Object.entries(after).map(([key, value]) => {
    const old = before[key];
    return [key, isFields(old) && isFields(value) ? withRemovals(old, value) : value];
  });
  return { ...Object.fromEntries(removed.map((key) => [key, null])), ...Object.fromEntries(kept) };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
