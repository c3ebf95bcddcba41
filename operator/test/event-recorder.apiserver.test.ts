import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Dropped } from "../src/kubernetes/event-book.ts";
import type { Occurrence } from "../src/kubernetes/event-manifest.ts";
import { EventRecorder } from "../src/kubernetes/event-recorder.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { events } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const forever = { signal: new AbortController().signal };

type Event = KubeObject & Readonly<{ note: string; reason: string; series?: { count: number } }>;

describe("events on a real API server", () => {
  const api = useApiServer();
  let recorder: EventRecorder;
  let regarding: KubeObject;
  let now: number;
  let dropped: Dropped[];
  let stop: AbortController;
  let running: Promise<void>;
  let drawn = 0;

  beforeEach(async () => {
    drawn += 1;
    now = Date.now();
    dropped = [];
    recorder = new EventRecorder({
      client: api.direct,
      reporter: { controller: "trainingrun.dev/operator", instance: "test" },
      onDropped: (lost) => dropped.push(lost),
      now: () => ({ monotonicMs: now, wallMs: now }),
    });
    stop = new AbortController();
    running = recorder.run(stop.signal);
    const metadata = { name: `events-${process.pid}-${drawn}` };
    regarding = await api.direct.create<KubeObject>(
      { resource: configMaps, namespace: "default" },
      { metadata },
      forever,
    );
  });

  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await running;
  });

  const occurrence = (note: string): Occurrence => ({
    regarding,
    resource: configMaps,
    type: "Warning",
    reason: "Preempted",
    action: "Decided",
    note,
  });

  async function written(): Promise<readonly Event[]> {
    const query = { fieldSelector: `regarding.uid=${regarding.metadata.uid}` };
    return (await api.direct.list<Event>({ resource: events, namespace: "default" }, query, forever)).items;
  }

  /** Tells, and waits until these words stand with this count (1 where the event is no series). */
  async function tell(note: string, count: number): Promise<void> {
    recorder.tell(occurrence(note));
    await until(`${note} stands ${count} times`, async () =>
      (await written()).some((event) => event.note === note && (event.series?.count ?? 1) === count),
    );
  }

  it("tells what happened, to which object, and who says so", async () => {
    await tell("the node is drained", 1);
    expect(await written()).toMatchObject([
      {
        type: "Warning",
        reason: "Preempted",
        action: "Decided",
        note: "the node is drained",
        reportingController: "trainingrun.dev/operator",
        reportingInstance: "test",
        regarding: { apiVersion: "v1", kind: "ConfigMap", name: regarding.metadata.name, uid: regarding.metadata.uid },
      },
    ]);
  });

  it("makes one series of repeats, writes its count rarely, and its end at a flush", async () => {
    await tell("again", 1);
    await tell("again", 2);
    for (let repeat = 0; repeat < 3; repeat += 1) recorder.tell(occurrence("again"));
    now += 31_000;
    await tell("again", 6);
    recorder.tell(occurrence("again"));
    await recorder.flush(forever);
    expect((await written()).map(({ series }) => series?.count)).toEqual([7]);
  });

  it("begins as a series what was told more than once before it could be written", async () => {
    for (let repeat = 0; repeat < 4; repeat += 1) recorder.tell(occurrence("often"));
    await tell("often", 5);
    expect((await written()).length).toBe(1);
  });

  it("writes the last count of a series that has fallen quiet, and begins a new event after it", async () => {
    await tell("a", 1);
    await tell("a", 2);
    recorder.tell(occurrence("a"));
    await tell("b", 1);
    now += 7 * 60_000;
    await tell("a", 1);
    await until("the old series has its last count", async () =>
      (await written()).some(({ note, series }) => note === "a" && series?.count === 3),
    );
    expect((await written()).map(({ note }) => note).sort()).toEqual(["a", "a", "b"]);
  });

  it("makes the event anew where the server has forgotten it, with its count", async () => {
    await tell("a", 1);
    for (const { metadata } of await written()) {
      const { name, uid } = metadata;
      await api.direct.remove({ resource: events, namespace: "default", name }, { preconditions: { uid } }, forever);
    }
    await tell("a", 2);
    expect((await written()).length).toBe(1);
  });

  it("writes of one object what its allowance has room for, and then the newest words of each reason", async () => {
    for (let step = 1; step <= 30; step += 1) recorder.tell(occurrence(`step ${step}`));
    await until("its allowance is used up", async () => (await written()).length === 25);
    now += 5 * 60_000;
    recorder.tell(occurrence("step 31"));
    const isCombined = ({ note }: Event) => note.includes("alike");
    const combined = await until("the rest stands", async () => (await written()).find(isCombined));
    expect([combined.note, combined.series?.count]).toEqual(["(newest of 6 alike) step 31", 6]);
    expect((await written()).length).toBe(26);
  });

  it("drops what the server refuses, and says so", async () => {
    const elsewhere = { ...regarding, metadata: { ...regarding.metadata, namespace: "no-such-namespace" } };
    recorder.tell({ ...occurrence("to nobody"), regarding: elsewhere });
    await until("it is dropped", () => dropped.length > 0);
    expect(dropped).toMatchObject([{ why: "Refused", told: { note: "to nobody" }, times: 1 }]);
    await tell("goes on", 1);
  });

  it("shortens a note that the server would refuse, between two characters", async () => {
    recorder.tell(occurrence("é".repeat(2_000)));
    const [event] = await until("it stands", async () => ((await written()).length === 1 ? written() : undefined));
    expect(event?.note).toMatch(/^é+…$/);
    expect(Buffer.byteLength(event?.note ?? "")).toBeLessThanOrEqual(1_024);
  });
});
