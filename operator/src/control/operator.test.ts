import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { runUid, storedRun } from "../../test/run-builder.ts";
import { type Asked, listed, type Scripted, scriptedClient, until } from "../../test/scripted-client.ts";
import { accountingFinalizer, labels } from "../api/names.ts";
import { OpenTerm, ResigningError, type Term } from "../kubernetes/term.ts";
import { Operator, type OperatorOptions } from "./operator.ts";

const stopping = new Error("asked to stop");
const run = (resourceVersion: string) => storedRun({ metadata: { namespace: "a", resourceVersion } });
/** A pod whose run is gone, and whose finalizer nobody else takes off. */
const stray = {
  metadata: {
    name: "gone-1-0",
    namespace: "a",
    uid: "p1",
    resourceVersion: "3",
    finalizers: [accountingFinalizer],
    labels: { [labels.run]: "gone" },
    ownerReferences: [{ apiVersion: "v1", kind: "TrainingRun", name: "gone", uid: "u0", controller: true }],
  },
};

const quiet = {
  namespaces: ["a"],
  watchNodes: false,
  workers: 2,
  instance: "test",
  probeIntervalMs: 60_000,
  log: () => undefined,
  onPass: () => undefined,
  onAttemptEnded: () => undefined,
  onWatchError: () => undefined,
  timing: { spacingMs: 1, backoff: { firstMs: 1, maxMs: 5 } },
} satisfies Partial<OperatorOptions>;

describe("an operator that leads by turns", () => {
  let asked: string[];
  let runs: unknown[];
  let claims: unknown[];
  let pods: unknown[];
  /** How a request is answered that the world itself does not answer. */
  let answer: (asked: Asked) => Scripted | undefined;
  let decided: number;
  let mayWrite: () => void;
  let stop: AbortController;
  let lead: ((term: Term) => Promise<void>) | undefined;
  let operator: Operator;
  let running: Promise<void>;

  beforeEach(async () => {
    asked = [];
    runs = [run("7")];
    claims = [];
    pods = [];
    answer = () => undefined;
    decided = 0;
    mayWrite = () => undefined;
    stop = new AbortController();
    lead = undefined;
    const client = scriptedClient(world);
    operator = new Operator({
      ...quiet,
      client,
      decide: (observed) => {
        decided += 1;
        return { status: { ...observed.run.status, state: "Pending" }, actions: [], events: [] };
      },
      leadership: {
        election: {
          run: (signal, work) => {
            lead = work;
            return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
          },
        },
        clientFor: (asks) => {
          mayWrite = asks;
          return client;
        },
        takeOverMs: 100,
      },
    });
    running = operator.run(stop.signal);
    await until(() => operator.caches.hasSynced);
    await until(() => isWatched("pods") && isWatched("trainingruns") && isWatched("persistentvolumeclaims"));
  });
  afterEach(async () => {
    stop.abort(stopping);
    await running;
  });

  function world(request: Asked): Scripted {
    const { method, path } = request;
    asked.push(`${method} ${path.split("?")[0]}${path.includes("watch=true") ? " watch" : ""}`);
    const special = answer(request);
    if (special !== undefined) return special;
    if (path.includes("watch=true")) return "Open";
    if (method !== "GET") return { status: 200, body: run("9") };
    if (!path.includes("?")) return { status: 404, body: { kind: "Status", reason: "NotFound", message: "none" } };
    if (path.includes("/trainingruns?")) return listed(path, runs);
    if (path.includes("/persistentvolumeclaims?")) return listed(path, claims);
    return listed(path, path.includes("/pods?") ? pods : []);
  }

  const isWatched = (plural: string) => asked.some((line) => line.endsWith(`/${plural} watch`));
  const writes = () => asked.filter((line) => !line.startsWith("GET"));
  const lists = () => asked.filter((line) => line === "GET /api/v1/namespaces/a/pods").length;
  const statusWrite = "PATCH /apis/trainingrun.dev/v1alpha1/namespaces/a/trainingruns/mnist/status";

  function begin(term: OpenTerm): Promise<void> {
    if (lead === undefined) throw new Error("Cannot lead because the operator takes no part in the election");
    return lead(term);
  }

  it("watches and decides nothing while another one leads", () => {
    expect([decided, writes(), operator.term]).toEqual([0, [], undefined]);
  });

  it("begins each term with a list of its own, and works on all that there is", async () => {
    pods = [stray];
    for (const number of [1, 2]) {
      asked = [];
      const term = new OpenTerm(number, () => true);
      const work = begin(term);
      await until(() => writes().length === 2);
      expect(lists()).toBe(1);
      expect(asked.findIndex((line) => line.endsWith("/pods"))).toBeLessThan(asked.indexOf(statusWrite));
      expect(writes().toSorted()).toEqual(["PATCH /api/v1/namespaces/a/pods/gone-1-0", statusWrite]);
      term.ask(stopping);
      await work;
      expect(operator.term).toBeUndefined();
    }
  });

  it("asks its term before a write", async () => {
    let isHeld = true;
    const term = new OpenTerm(1, () => isHeld);
    const work = begin(term);
    await until(() => decided > 0);
    expect(mayWrite()).toBeUndefined();
    isHeld = false;
    expect(mayWrite).toThrow("Cannot write because the lease is not held: term 1");
    term.end(stopping);
    await work;
  });

  it("drops its term with all that is under way", async () => {
    answer = ({ method }) => (method === "PATCH" ? "Open" : undefined);
    const term = new OpenTerm(1, () => true);
    const work = begin(term);
    await until(() => writes().length === 1);
    const queue = operator.term?.queue;
    expect(queue?.running).toBe(1);
    term.end(stopping);
    await work;
    expect([queue?.running, queue?.depth, operator.term]).toEqual([0, 0, undefined]);
    expect(writes()).toEqual([statusWrite]);
  });

  it("resigns where it cannot list the cluster, and decides nothing", async () => {
    answer = ({ method, path }) => (method === "GET" && path.includes("limit=") ? "Open" : undefined);
    const work = begin(new OpenTerm(1, () => true));
    await expect(work).rejects.toThrow(ResigningError);
    await expect(work).rejects.toThrow(
      "Cannot lead because runs, pods, claims and nodes must be listed first, and were not within 0.1 s: the lease is handed on (term 1)",
    );
    expect([decided, writes(), operator.term]).toEqual([0, [], undefined]);
  });

  it("deletes a claim that came too late for a run which went while another one led", async () => {
    const going = storedRun({
      metadata: { namespace: "a", deletionTimestamp: "2026-01-01T01:00:00Z" },
      spec: { deletionPolicy: "Delete" },
    });
    const late = {
      metadata: {
        name: `mnist-${runUid.slice(0, 8)}`,
        namespace: "a",
        uid: "c1",
        resourceVersion: "9",
        creationTimestamp: "2026-01-01T01:00:01Z",
        labels: { [labels.runUid]: runUid },
      },
    };
    runs = [going];
    const first = new OpenTerm(1, () => true);
    const work = begin(first);
    await until(() => decided > 0);
    first.ask(stopping);
    await work;
    asked = [];
    [runs, claims] = [[], [late]];
    const second = new OpenTerm(2, () => true);
    const next = begin(second);
    await until(() => writes().length > 0);
    expect(writes()).toEqual([`DELETE /api/v1/namespaces/a/persistentvolumeclaims/${late.metadata.name}`]);
    second.ask(stopping);
    await next;
  });

  it("leaves without a word where it is asked to before its picture is fresh", async () => {
    answer = ({ method, path }) => (method === "GET" && path.includes("limit=") ? "Open" : undefined);
    const term = new OpenTerm(1, () => true);
    const work = begin(term);
    await until(() => lists() > 1);
    term.ask(stopping);
    await work;
    expect([decided, writes()]).toEqual([0, []]);
  });
});

it("an operator without others waits at its end for what is under way: no lease runs out meanwhile", async () => {
  const stop = new AbortController();
  const client = scriptedClient(({ method, path }) => {
    if (path.includes("watch=true")) return "Open";
    if (method === "PATCH" && path.includes("/status")) return "Open";
    if (method !== "GET") return { status: 200, body: run("9") };
    if (!path.includes("?")) return { status: 404, body: { kind: "Status", reason: "NotFound", message: "none" } };
    return listed(path, path.includes("/trainingruns?") ? [run("7")] : []);
  });
  const operator = new Operator({
    ...quiet,
    client,
    decide: (observed) => ({ status: { ...observed.run.status, state: "Pending" }, actions: [], events: [] }),
  });
  const running = operator.run(stop.signal);
  await until(() => operator.term?.queue.running === 1);
  const { term } = operator;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  stop.abort(stopping);
  await vi.advanceTimersByTimeAsync(7_000);
  expect([term?.queue.running, operator.term]).toEqual([1, term]);
  await vi.advanceTimersByTimeAsync(4_000);
  await running;
  expect(operator.term).toBeUndefined();
});
