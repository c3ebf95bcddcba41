import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runUid, storedRun } from "../../test/run-builder.ts";
import { type Asked, listed, patched, type Scripted, scriptedClient, until } from "../../test/scripted-client.ts";
import type { Action, Decision } from "../core/decision.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { Caches } from "./caches.ts";
import type { PassOutcome } from "./controller.ts";
import { GangServices } from "./gang-services.ts";
import { HeldStatuses } from "./held-statuses.ts";
import { DroppedFields } from "./kept-fields.ts";
import { LateClaims } from "./late-claims.ts";
import { OwnWrites } from "./own-writes.ts";
import { Problems } from "./problems.ts";
import { type Reconciler, reconcile } from "./reconcile.ts";
import { Refusals } from "./refusals.ts";
import { RunEvents } from "./run-events.ts";

const key = "team/mnist";
const stored = (resourceVersion: string) => storedRun({ metadata: { resourceVersion } }) as KubeObject;
const createPod: Action = {
  kind: "CreatePod",
  manifest: { apiVersion: "v1", kind: "Pod", metadata: { name: "mnist-1-0", namespace: "team" } },
  attempt: 1,
  worker: 0,
};

describe("a pass", () => {
  let stop: AbortController;
  let watching: Promise<void>;
  let asked: string[];
  let told: string[];
  let isOpen: boolean;
  let decision: Decision;
  let answerTo: (asked: Asked) => Scripted;
  let reconciler: Reconciler;
  let elapsedMs: number;

  beforeEach(async () => {
    elapsedMs = 0;
    stop = new AbortController();
    told = [];
    asked = [];
    isOpen = true;
    decision = { status: {}, actions: [], events: [] };
    const client = scriptedClient((question) => {
      const { method, path } = question;
      if (path.includes("watch=true")) return "Open";
      if (path.includes("limit=")) return listed(path, path.includes("/trainingruns?") ? [storedRun()] : []);
      if (method === "GET" && path.includes("/persistentvolumeclaims/")) return { status: 404, body: {} };
      asked.push(`${method} ${path.split("?")[0]?.split("/").at(-1)}`);
      return answerTo(question);
    });
    const caches = new Caches({ client, namespaces: ["team"], watchNodes: false, onError: () => undefined });
    watching = caches.run(stop.signal);
    await until(() => caches.hasSynced);
    const log = () => undefined;
    const problems = new Problems({ client, log, now: Date.now });
    const refusals = new Refusals();
    reconciler = {
      sources: {
        caches,
        client,
        report: () => undefined,
        askingSince: () => undefined,
        refusals,
        problems,
        gangServices: new GangServices(),
        now: Date.now,
      },
      gate: { isOpenFor: () => isOpen },
      lateClaims: new LateClaims(),
      ownWrites: new OwnWrites(caches),
      held: new HeldStatuses(() => elapsedMs),
      dropped: new DroppedFields(),
      decide: () => decision,
      recorder: { tell: ({ reason }) => told.push(reason) },
      runEvents: new RunEvents(),
      log,
      onAttemptEnded: () => undefined,
    };
  });
  afterEach(async () => {
    stop.abort();
    await watching;
  });

  const pass = (): Promise<PassOutcome> => reconcile(key, reconciler, { signal: stop.signal });
  const refuse = (status: number, message: string) => () => ({ status, body: { kind: "Status", message } });

  it("is held back, and asks for nothing, while its namespace is not synced", async () => {
    isOpen = false;
    expect([await pass(), asked]).toEqual([{ kind: "Held", requeueAfterMs: 60_000 }, []]);
  });

  it("is held back until the write of the pass before has come back", async () => {
    decision = { ...decision, status: { attempt: 1 } };
    answerTo = (question) => ({ status: 200, body: patched(stored("8"), question) });
    expect((await pass()).kind).toBe("Settled");
    expect([await pass(), asked]).toEqual([{ kind: "Held", requeueAfterMs: 1_000 }, ["PATCH status"]]);
  });

  it("writes what only tells half a second later, or with what cannot wait", async () => {
    answerTo = (question) => ({ status: 200, body: patched(stored("7"), question) });
    decision = { ...decision, status: { state: "Restoring" }, requeueAfterMs: 60_000 };
    expect([await pass(), asked]).toEqual([{ kind: "Held", requeueAfterMs: 500 }, []]);
    elapsedMs = 100;
    expect([await pass(), asked]).toEqual([{ kind: "Held", requeueAfterMs: 400 }, []]);
    decision = { ...decision, status: { state: "Running", attempt: 1 } };
    await pass();
    expect(asked).toEqual(["PATCH status"]);
    decision = { ...decision, status: { state: "Restoring" } };
    expect(await pass()).toEqual({ kind: "Held", requeueAfterMs: 500 });
    elapsedMs = 600;
    await pass();
    expect(asked).toEqual(["PATCH status", "PATCH status"]);
  });

  it("is not settled while it waits to tell: a refused one tries ever more rarely, though it waits before each try", async () => {
    answerTo = refuse(403, 'trainingruns is forbidden: User "operator" cannot patch resource "trainingruns/status"');
    decision = { ...decision, status: { state: "Restoring" } };
    const outcomes: string[] = [];
    for (const at of [0, 500, 1_000, 1_500]) {
      elapsedMs = at;
      outcomes.push(
        await pass().then(
          ({ kind }) => kind,
          () => "thrown",
        ),
      );
    }
    expect(outcomes).toEqual(["Held", "thrown", "Held", "thrown"]);
  });

  it("comes back before that where the decision asks for it", async () => {
    decision = { ...decision, status: { state: "Restoring" }, requeueAfterMs: 20 };
    expect(await pass()).toEqual({ kind: "Held", requeueAfterMs: 20 });
  });

  it("fails, and tells nobody, where we may not write at all: a server that starts says so too", async () => {
    decision = { ...decision, status: { attempt: 1 } };
    answerTo = refuse(403, 'trainingruns is forbidden: User "operator" cannot patch resource "trainingruns/status"');
    await expect(pass()).rejects.toMatchObject({ status: 403 });
    expect([asked, told]).toEqual([["PATCH status"], []]);
  });

  it("is repeated, and tells why, where the status itself is refused", async () => {
    decision = { ...decision, status: { attempt: 1 } };
    answerTo = refuse(422, "status.attempt is wrong");
    expect((await pass()).kind).toBe("Again");
    expect(told).toEqual(["StatusRefused"]);
  });

  it("writes a condition, and nothing else, on a run that it cannot read", async () => {
    const unreadable = storedRun({ metadata: { resourceVersion: "2" }, spec: { retry: { failures: -1 } } });
    reconciler.sources.caches.runs.put(unreadable as unknown as KubeObject);
    let sent: unknown;
    answerTo = ({ body }) => {
      sent = body;
      return {
        status: 200,
        body: { ...unreadable, metadata: { ...(unreadable.metadata as object), resourceVersion: "3" } },
      };
    };
    expect((await pass()).kind).toBe("Settled");
    expect([asked, told]).toEqual([["PATCH status"], ["Unreadable"]]);
    expect(sent).toMatchObject({
      metadata: { resourceVersion: "2" },
      status: { conditions: [{ type: "Progressing", status: "Unknown", reason: "Unreadable" }] },
    });
  });

  it("leaves nothing of a run that goes in its midst", async () => {
    decision = { ...decision, actions: [createPod] };
    answerTo = ({ method }) => {
      if (method === "GET") return { status: 200, body: storedRun() };
      reconciler.sources.caches.runs.remove(storedRun() as unknown as KubeObject);
      return { status: 403, body: { kind: "Status", reason: "Forbidden", message: "exceeded quota: pods" } };
    };
    expect((await pass()).kind).toBe("Again");
    expect(asked).toEqual(["GET mnist", "POST pods"]);
    expect(reconciler.sources.refusals.of(runUid)).toEqual([]);
    expect(reconciler.sources.refusals.roomIn("team", Date.now())).toEqual([]);
  });

  it("creates nothing from a picture that is old", async () => {
    decision = { ...decision, actions: [createPod] };
    answerTo = () => ({ status: 200, body: storedRun({ metadata: { resourceVersion: "9" } }) });
    const why = `the picture was old: OldPictureError: Cannot act on TrainingRun team/mnist because it has changed since: version 9 after 1`;
    expect([await pass(), asked]).toEqual([{ kind: "Again", why }, ["GET mnist"]]);
  });

  it("creates what was decided on from one that is not", async () => {
    decision = { ...decision, actions: [createPod] };
    answerTo = ({ method }) => {
      if (method === "GET") return { status: 200, body: storedRun() };
      return { status: 201, body: { metadata: { name: "mnist-1-0", namespace: "team", uid: `${runUid}-p` } } };
    };
    expect((await pass()).kind).toBe("Settled");
    expect(asked).toEqual(["GET mnist", "POST pods"]);
  });
});
