import { beforeEach, describe, expect, it } from "vitest";
import { EventRecorder, type Occurrence } from "../src/kubernetes/event-recorder.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { events } from "../src/kubernetes/resource.ts";
import { useApiServer } from "./api-server.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const forever = { signal: new AbortController().signal };

type Event = KubeObject & Readonly<{ note: string; reason: string; series?: { count: number } }>;

describe("events on a real API server", () => {
  const api = useApiServer();
  let recorder: EventRecorder;
  let regarding: KubeObject;
  let now: number;
  let drawn = 0;

  beforeEach(async () => {
    drawn += 1;
    now = Date.now();
    recorder = new EventRecorder({
      client: api.direct,
      controller: "trainingrun.dev/operator",
      instance: "test",
      now: () => now,
    });
    const metadata = { name: `events-${process.pid}-${drawn}` };
    regarding = await api.direct.create<KubeObject>(
      { resource: configMaps, namespace: "default" },
      { metadata },
      forever,
    );
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

  it("tells what happened, to which object, and who says so", async () => {
    await recorder.record(occurrence("the node is drained"), forever);
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
    for (let repeat = 0; repeat < 5; repeat += 1) await recorder.record(occurrence("again"), forever);
    expect((await written()).map(({ series }) => series?.count)).toEqual([2]);
    now += 31_000;
    await recorder.record(occurrence("again"), forever);
    expect((await written()).map(({ series }) => series?.count)).toEqual([6]);
    await recorder.record(occurrence("again"), forever);
    await recorder.flush(forever);
    expect((await written()).map(({ series }) => series?.count)).toEqual([7]);
  });

  it("begins a new event after a quiet time, and one for each note", async () => {
    await recorder.record(occurrence("a"), forever);
    await recorder.record(occurrence("b"), forever);
    now += 7 * 60_000;
    await recorder.record(occurrence("a"), forever);
    expect((await written()).map(({ note }) => note).sort()).toEqual(["a", "a", "b"]);
  });

  it("begins a new event where the server has forgotten the old one", async () => {
    await recorder.record(occurrence("a"), forever);
    for (const { metadata } of await written()) {
      const { name, uid } = metadata;
      await api.direct.remove({ resource: events, namespace: "default", name }, { preconditions: { uid } }, forever);
    }
    await recorder.record(occurrence("a"), forever);
    await recorder.record(occurrence("a"), forever);
    expect((await written()).length).toBe(1);
  });

  it("shortens a note that the server would refuse, between two characters", async () => {
    await recorder.record(occurrence("é".repeat(2_000)), forever);
    const [event] = await written();
    expect(event?.note).toMatch(/^é+…$/);
    expect(Buffer.byteLength(event?.note ?? "")).toBeLessThanOrEqual(1_024);
  });
});
