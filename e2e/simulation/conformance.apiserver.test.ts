import { ApiError } from "@trainingrun/operator/kubernetes/api-error.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { events, pods, type Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { useApiServer } from "../../operator/test/api-server.ts";
import { installTrainingRuns } from "../../operator/test/custom-resource.ts";
import { namespaces } from "./model/api/built-in-kinds.ts";
import {
  histories,
  type PlayedKind,
  played,
  playedKinds,
  type Side,
  type Step,
} from "./model/api/test/conformance-steps.ts";
import { transcript } from "./model/api/test/conformance-transcript.ts";
import { modelClient, servedApi } from "./model/api/test/served-api.ts";

/*
 * The model API server of the simulation is worth what it has in common with the real one. The same histories are
 * played to both by the operator's own client, and everything that either says is compared: answers, refusals with
 * their fields, and the lines of watches. Left out are what the model does not claim: most of a pod's defaults and
 * rules, and the words of refusals beyond those that programs here read. How far back a history reaches is the model's
 * own choice. What controllers do (owners, claims,
 * namespaces) needs a controller manager and is not compared here.
 */

const forever = { signal: new AbortController().signal };
const real = useApiServer(installTrainingRuns);
const historyCount = 60;
let drawn = 0;

/** Both servers, each with a namespace of its own for one history. */
async function bothSides(): Promise<readonly [Side, Side]> {
  drawn += 1;
  const namespace = `conformance-${process.pid}-${drawn}`;
  const { api, clock } = servedApi();
  const { client } = modelClient(api, clock);
  const sides = [client, real.direct].map((each): Side => ({ client: each, namespace, seen: new Map() }));
  const [model, server] = sides;
  if (model === undefined || server === undefined) throw new Error("Cannot compare because a side is missing");
  for (const side of sides)
    await side.client.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
  return [model, server];
}

/** A watch from now on, and what it said up to the object that ends a history. */
async function beginWatch({ client, namespace }: Side, resource: Resource, labelSelector?: string) {
  const page = await client.list({ resource, namespace }, {}, forever);
  const leaving = new AbortController();
  const query = { resourceVersion: page.metadata.resourceVersion, labelSelector };
  const bound = { signal: leaving.signal, openTimeoutMs: 5_000 };
  const body = await client.watch({ resource, namespace }, query, bound);
  return async (): Promise<readonly unknown[]> => {
    const lines = await linesUntil(body, (line) => line.object.metadata.name === "last");
    leaving.abort(new Error("all is heard"));
    return lines;
  };
}

type Line = Readonly<{ type: string; object: KubeObject }>;

async function linesUntil(body: AsyncIterable<Uint8Array>, isLast: (line: Line) => boolean): Promise<readonly Line[]> {
  const lines: Line[] = [];
  let rest = "";
  for await (const chunk of body) {
    const parts = (rest + Buffer.from(chunk).toString("utf8")).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts.filter((part) => part !== "").map((part) => JSON.parse(part) as Line));
    if (lines.some(isLast)) break;
  }
  return lines;
}

async function historyOn(side: Side, steps: readonly Step[]): Promise<unknown> {
  const views = Object.values(playedKinds).flatMap((resource) => [
    { resource, selector: undefined },
    { resource, selector: "half in (first,last)" },
  ]);
  const watches = await Promise.all(views.map(({ resource, selector }) => beginWatch(side, resource, selector)));
  const said: unknown[] = [];
  for (const step of steps) said.push(await played(side, step));
  for (const kind of Object.keys(playedKinds) as PlayedKind[]) {
    said.push(await played(side, { kind, name: "last", do: "Create", metadata: "Labelled", isBroken: false }));
  }
  for (const hear of watches) said.push(await hear());
  return transcript(said);
}

describe("the model API server says what a real one says", () => {
  test(`to ${historyCount} histories of writes and reads`, { timeout: 400_000 }, async () => {
    const property = fc.asyncProperty(histories, async (steps) => {
      const [model, server] = await bothSides();
      const [modelled, meant] = await Promise.all([historyOn(model, steps), historyOn(server, steps)]);
      expect(modelled).toEqual(meant);
    });
    await fc.assert(property, { numRuns: historyCount, endOnFailure: process.env.FAST_CHECK_SHRINK === undefined });
  });

  test("to labels that come with the status of a run", async () => {
    const labelled = { metadata: { labels: { half: "second" } }, status: { state: "Running" } };
    const answers = (await bothSides()).map(async (side) => {
      const runs = { resource: playedKinds.runs, namespace: side.namespace };
      const create: Step = { kind: "runs", name: "a", do: "Create", metadata: "Plain", isBroken: false };
      return transcript([
        await played(side, create),
        await side.client.mergePatch({ ...runs, name: "a", subresource: "status" }, labelled, forever),
      ]);
    });
    const [model, server] = await Promise.all(answers);
    expect(model).toEqual(server);
    expect(JSON.stringify(server)).not.toContain("half");
  });

  const at = (resource: Resource) => (side: Side) => ({ resource, namespace: side.namespace });
  const odd = { group: "example.com", version: "v1", plural: "odds", kind: "Odd", scope: "Namespaced" } as const;
  const body = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };

  test.each<[string, (side: Side) => Promise<unknown>]>([
    ["a resource that is not served", (side) => side.client.list(at(odd)(side), {}, forever)],
    [
      "a namespace that is not there",
      (side) => side.client.create({ resource: pods, namespace: `${side.namespace}-not` }, body, forever),
    ],
    [
      "a namespace that is about to go",
      async (side) => {
        const target = { resource: namespaces, name: side.namespace };
        const { uid } = (await side.client.get<KubeObject>(target, forever)).metadata;
        await side.client.remove(target, { preconditions: { uid } }, forever);
        return await side.client.create(at(pods)(side), body, forever);
      },
    ],
    [
      "a continuation it never gave",
      (side) => side.client.list(at(pods)(side), { limit: "1", continue: "?" }, forever),
    ],
    [
      "a field it does not select by",
      (side) => side.client.list(at(pods)(side), { fieldSelector: "spec.priority=1" }, forever),
    ],
    ["a selector that is none", (side) => side.client.list(at(pods)(side), { labelSelector: "a=b=c" }, forever)],
    [
      "an event without a time",
      (side) =>
        side.client.create(
          at(events)(side),
          { metadata: { name: "e" }, type: "Normal", regarding: { namespace: side.namespace } },
          forever,
        ),
    ],
    [
      "an event whose time is in seconds",
      (side) =>
        side.client.create(at(events)(side), { metadata: { name: "e" }, eventTime: "2026-01-05T12:00:00Z" }, forever),
    ],
    [
      "more than it takes",
      (side) => {
        const annotations = { much: "x".repeat(4 * 1024 * 1024) };
        return side.client.create(at(pods)(side), { ...body, metadata: { name: "p", annotations } }, forever);
      },
    ],
    [
      "a subresource that is not there",
      (side) => side.client.get({ ...at(pods)(side), name: "p", subresource: "unknown" }, forever),
    ],
  ])("about %s", async (_, act) => {
    const [model, server] = await Promise.all((await bothSides()).map((side) => refusal(() => act(side))));
    expect(model).toEqual(server);
  });
});

/** Of a refusal what programs read; its words where they do. */
async function refusal(act: () => Promise<unknown>): Promise<unknown> {
  try {
    await act();
    return "not refused";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { status, reason, fields, detail } = error;
    const words = ["is invalid:", "because it is being terminated", "not found"].filter((each) =>
      detail.includes(each),
    );
    return { status, reason, fields: [...new Set(fields)].sort(), words };
  }
}
