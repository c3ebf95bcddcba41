import { describe, expect, it, onTestFinished } from "vitest";
import { labels } from "../src/api/names.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, pods, services } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import type { End } from "./fake-kubelet.ts";
import { digest } from "./records.ts";
import type { Fields } from "./run-builder.ts";
import { RunPlace } from "./run-place.ts";
import { sharedVolume } from "./world.ts";

const api = useApiServer(installTrainingRuns);
const record = { kind: "preempted", attempt: 1, step: 7, finalCheckpoint: "Saved", graceUsedSeconds: 1 } as const;
const preempted: End = { exitCode: 143, record: { ...record, checkpoint: digest("a") } };
const soon = { retry: { backoff: { initialSeconds: 1, maxSeconds: 1 } } };

async function begun(spec: Fields = {}, workers = 1): Promise<RunPlace> {
  const place = new RunPlace(api);
  await place.begin();
  onTestFinished(() => place.end());
  await place.create({ ...soon, ...spec });
  await place.recorded(1, workers);
  for (let worker = 0; worker < workers; worker += 1) await place.kubelet.start(`mnist-1-${worker}`);
  return place;
}

/** The pod is evicted, saves, and goes. */
async function evicted(place: RunPlace): Promise<void> {
  await place.kubelet.evict("mnist-1-0");
  await place.asked("mnist-1-0");
  await place.finish("mnist-1-0", preempted);
  await place.kubelet.release("mnist-1-0");
}

async function claimOf(place: RunPlace): Promise<KubeObject> {
  const [claim] = await place.list(claims);
  if (claim === undefined) throw new Error(`Cannot find the claim of the run in ${place.namespace}`);
  return claim;
}

const attemptOf = async (place: RunPlace) => (await place.status()).attempt;

describe("a run that is edited into what cannot train, while it trains", () => {
  const trainer = { name: "trainer", image: "trainer:1" };
  const templateWith = (command: readonly string[]) => ({
    spec: { schedulerName: "the-test", containers: [{ ...trainer, command }] },
  });

  it("trains on, says at once that no attempt follows, begins none, and goes on once the edit is taken back", async () => {
    const place = await begun();
    await place.edit({ template: templateWith(["sh", "-c", "train; echo over"]) });
    await until("it is said", async () => {
      const { conditions } = await place.status();
      return conditions?.some(({ message }) => message.includes("No attempt can follow attempt 1.")) || undefined;
    });
    expect((await place.get(pods, "mnist-1-0")).metadata.deletionTimestamp).toBeUndefined();
    await evicted(place);
    expect(await place.says("ShellCommand")).toMatch(/^Cannot start an attempt because/);
    expect(await attemptOf(place)).toBe(1);
    await place.edit({ template: templateWith(["train"]) });
    await place.recorded(2);
    expect(await place.status()).toMatchObject({
      latestVerified: { step: 7 },
      totals: { disruptions: 1, failures: 0 },
    });
    expect(place.life.errors).toEqual([]);
  });
});

describe("a claim that is deleted under a running pod", () => {
  /** As the cluster does once no pod uses it. */
  async function letGo(place: RunPlace): Promise<void> {
    const { name } = (await claimOf(place)).metadata;
    const target = { resource: claims, namespace: place.namespace, name };
    await api.direct.mergePatch(target, { metadata: { finalizers: null } }, { signal: new AbortController().signal });
  }

  it.each([
    { policy: "Fail", end: (place: RunPlace) => place.isIn("Failed"), claimsLeft: 0, attempt: 1 },
    { policy: "StartOver", end: (place: RunPlace) => place.recorded(2), claimsLeft: 1, attempt: 2 },
  ])(
    "is told of at once, is used by no second pod, and its checkpoints are missed by the word of the user: $policy",
    async (row) => {
      const place = await begun({ resume: { noneVerified: row.policy } });
      await place.sweep(claims);
      expect(await place.says("ClaimTerminating")).toMatch(/goes with all checkpoints on it as soon as no pod uses it/);
      await evicted(place);
      await until("it waits for the claim to go", async () => {
        const { state, conditions } = await place.status();
        const waits = conditions?.some(({ message }) =>
          message.startsWith("Cannot start an attempt because the claim"),
        );
        return (state === "Pending" && waits) || undefined;
      });
      expect(await attemptOf(place)).toBe(1);
      await letGo(place);
      await row.end(place);
      expect([await attemptOf(place), (await place.list(claims)).length]).toEqual([row.attempt, row.claimsLeft]);
      expect(place.life.errors).toEqual([]);
    },
  );

  it("is not taken for another's where it lost its label: no attempt begins until it has it back", async () => {
    const place = await begun();
    const { metadata } = await claimOf(place);
    await place.label(claims, metadata.name, { [labels.runUid]: null });
    await evicted(place);
    expect(await place.says("ClaimForeign")).toContain(labels.runUid);
    expect(await attemptOf(place)).toBe(1);
    await place.label(claims, metadata.name, { [labels.runUid]: metadata.labels?.[labels.runUid] ?? "" });
    await place.recorded(2);
    expect(place.life.errors).toEqual([]);
  });
});

describe("a gang that somebody changes by hand", () => {
  const gang = { workers: 2, checkpoint: { volume: sharedVolume } };

  it("has its Service made again by an operator that looks for it, and trains on", async () => {
    const place = await begun(gang, 2);
    const { uid } = (await place.get(services, "mnist")).metadata;
    await place.sweep(services);
    // One that saw it a moment ago looks again within a minute; another one at once.
    await place.succeed();
    await until("another Service stands", async () => {
      const [service] = await place.list(services);
      return (service !== undefined && service.metadata.uid !== uid) || undefined;
    });
    expect(await attemptOf(place)).toBe(1);
    expect(place.life.errors).toEqual([]);
  });

  it("has the labels of its workers put back as they were, though one bore the other's number", async () => {
    const place = await begun(gang, 2);
    const before = (await place.list(pods)).map(({ metadata }) => metadata.labels);
    await place.label(pods, "mnist-1-1", { [labels.worker]: "0" });
    await place.label(pods, "mnist-1-0", { [labels.run]: null, [labels.runUid]: null, [labels.attempt]: null });
    await until("the labels are back", async () => {
      const after = (await place.list(pods)).map(({ metadata }) => metadata.labels);
      return JSON.stringify(after) === JSON.stringify(before) || undefined;
    });
    const status = await place.status();
    expect(status.attempts?.[0]?.pods.map(({ worker }) => worker)).toEqual([0, 1]);
    expect(place.life.errors).toEqual([]);
  });
});

it("writes nothing about a run that another controller manages", async () => {
  const place = new RunPlace(api);
  await place.begin();
  onTestFinished(() => place.end());
  await place.create({ managedBy: "example.com/other" }, "anothers");
  await place.create();
  await place.recorded();
  const { metadata, status } = await place.get(trainingRuns, "anothers");
  expect([metadata.finalizers, status, metadata.generation]).toEqual([undefined, undefined, 1]);
  expect((await place.list(pods)).map(({ metadata: { name } }) => name)).toEqual(["mnist-1-0"]);
  expect(await place.list(claims)).toHaveLength(1);
  const written = place.life.proxy.answered.filter(({ method }) => method !== "GET");
  expect(written.filter(({ path }) => path.includes("anothers"))).toEqual([]);
});
