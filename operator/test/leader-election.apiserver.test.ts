import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NoAnswerError } from "../src/kubernetes/api-error.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { type ElectionState, LeaderElection, uniqueIdentity } from "../src/kubernetes/leader-election.ts";
import { type LeaseTiming, leaseTiming } from "../src/kubernetes/lease.ts";
import { type LeaseRecord, leases, readLease } from "../src/kubernetes/lease-record.ts";
import type { Term } from "../src/kubernetes/term.ts";
import { credentialsOf, testClient, until, useApiServer } from "./api-server.ts";
import { FaultProxy, type Seen } from "./fault-proxy.ts";

const namespace = "default";
const forever = { signal: new AbortController().signal };
const isWrite = (seen: Seen) => seen.method === "PATCH" && seen.path.includes("/leases/");
const isMaking = (seen: Seen) => seen.method === "POST" && seen.path.includes("/leases");
const isWatch = (seen: Seen) => seen.isWatch && seen.path.includes("/leases");
const silentWatches = (proxy: FaultProxy) => proxy.fail(isWatch, { kind: "Stall" }, 100);
const isLostRenewal = (error: unknown) => error instanceof NoAnswerError && error.attempted.method === "PATCH";

/** A fifth of the real timing, so that each test lasts seconds. */
const timing: LeaseTiming = {
  ...leaseTiming,
  leaseMs: 3_000,
  renewDeadlineMs: 2_000,
  retryMs: 400,
  drainMs: 500,
};

const api = useApiServer();
let drawn = 0;

describe("leader election, through a proxy that breaks things, at a real API server", () => {
  let name: string;
  let candidates: Candidate[];

  beforeEach(() => {
    drawn += 1;
    name = `election-${process.pid}-${drawn}`;
    candidates = [];
  });

  afterEach(async () => {
    for (const candidate of candidates) await candidate.end();
    const lease = await stored();
    if (lease !== undefined) {
      const { uid } = lease.metadata;
      await api.direct.remove({ resource: leases, namespace, name }, { preconditions: { uid } }, forever);
    }
  });

  async function candidate(prepare: (proxy: FaultProxy) => void = () => undefined): Promise<Candidate> {
    const made = new Candidate(name);
    candidates.push(made);
    await made.begin(api.credentials, prepare);
    return made;
  }

  async function leaderAndFollower(): Promise<[leader: Candidate, follower: Candidate]> {
    const leader = await candidate();
    await until("the first one leads", () => leader.mayWrite || undefined);
    const follower = await candidate();
    await until("the second one sees it", () => follower.election.holder === leader.identity || undefined);
    await until("it watches", () => follower.proxy.watches("/leases").length > 0 || undefined);
    return [leader, follower];
  }

  async function stored(): Promise<KubeObject | undefined> {
    return await api.direct.get<KubeObject>({ resource: leases, namespace, name }, forever).catch(() => undefined);
  }

  async function record(): Promise<LeaseRecord> {
    const lease = await stored();
    if (lease === undefined) throw new Error(`Cannot read lease ${name} because it is not there`);
    return readLease(lease);
  }

  async function edit(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await api.direct.mergePatch({ resource: leases, namespace, name }, { spec }, forever);
  }

  it("writes a Lease that the server takes, with times of six digits", async () => {
    const leader = await candidate();
    await until("it leads", () => leader.mayWrite || undefined);
    const { spec } = (await stored()) as KubeObject;
    const sixDigits = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(spec).toEqual({
      holderIdentity: leader.identity,
      leaseDurationSeconds: 3,
      acquireTime: sixDigits,
      renewTime: sixDigits,
      leaseTransitions: 0,
    });
    expect(leader.errors).toEqual([]);
  });

  it("follows by the watch alone, and takes over within a second of a release", async () => {
    const [leader, follower] = await leaderAndFollower();
    const asked = follower.proxy.seen.length;
    await until("some renewals were made", () => leader.proxy.answered.filter(isWrite).length > 5 || undefined);
    expect(follower.proxy.seen.length - asked).toBeLessThanOrEqual(1);
    const releasedAt = performance.now();
    await leader.end();
    await until("the other leads", () => follower.mayWrite || undefined);
    expect(performance.now() - releasedAt).toBeLessThan(1_000);
    expect(leader.states.slice(-2)).toEqual(["SteppingDown", "Released"]);
    expect((await record()).transitions).toBe(1);
    expect(follower.terms[0]?.number).toBe(1);
  });

  it("takes over when the leader is silent for as long as its lease", async () => {
    const [leader, follower] = await leaderAndFollower();
    leader.proxy.cut();
    const cutAt = performance.now();
    await until("the other leads", () => follower.mayWrite || undefined);
    expect(leader.mayWrite).toBe(false);
    expect(leader.states).toContain("SteppingDown");
    const tookMs = performance.now() - cutAt;
    expect(tookMs).toBeGreaterThan(timing.leaseMs - timing.retryMs - 200);
    expect(tookMs).toBeLessThan(timing.leaseMs + 1_000);
  });

  it("knows its own renewal again whose reply was lost, by reading the Lease back", async () => {
    const first = await candidate(silentWatches);
    await until("it leads", () => first.mayWrite || undefined);
    first.proxy.fail(isWrite, { kind: "LoseAnswer" }, 1);
    await until("that renewal was made", () => first.errors.some(isLostRenewal) || undefined);
    const renewed = first.proxy.answered.filter(isWrite).length;
    await until("it renews again", () => first.proxy.answered.filter(isWrite).length > renewed + 3 || undefined);
    expect(first.proxy.answered.filter(isWrite).map(({ status }) => status)).toContain(409);
    expect(first.terms).toHaveLength(1);
    expect(first.mayWrite).toBe(true);
  });

  it("leads by a Lease whose making it never heard of", async () => {
    const first = await candidate((proxy) => {
      silentWatches(proxy);
      proxy.fail(isMaking, { kind: "LoseAnswer" }, 1);
    });
    await until("it leads", () => first.mayWrite || undefined);
    expect(first.proxy.answered.filter(isMaking).map(({ status }) => status)).toEqual([201, 409]);
    expect((await record()).transitions).toBe(0);
  });

  it("steps down and follows where another name is written by hand, and comes back", async () => {
    const [leader, follower] = await leaderAndFollower();
    await edit({ holderIdentity: "someone" });
    await until("it has stopped", () => !leader.mayWrite || undefined);
    expect(String(leader.terms[0]?.signal.reason)).toContain("another holds the lease: someone");
    await until("one of them leads", () => leader.mayWrite || follower.mayWrite || undefined);
    expect(leader.mayWrite && follower.mayWrite).toBe(false);
  });

  it("makes the Lease anew where it is deleted, and goes on with its term", async () => {
    const [leader, follower] = await leaderAndFollower();
    const { uid } = await record();
    await api.direct.remove({ resource: leases, namespace, name }, { preconditions: { uid } }, forever);
    await until(
      "there is another",
      async () => (await stored())?.metadata.uid !== uid && (await stored()) !== undefined,
    );
    expect((await record()).holder).toBe(leader.identity);
    expect([leader.terms.length, follower.terms.length]).toEqual([1, 0]);
    expect(leader.mayWrite).toBe(true);
  });

  it("is not stopped by a Lease edited into nonsense", async () => {
    const [leader] = await leaderAndFollower();
    await edit({
      leaseTransitions: 2 ** 31 - 1,
      leaseDurationSeconds: 2 ** 31 - 1,
      renewTime: null,
      acquireTime: null,
    });
    await until("it is mended", async () => (await record()).durationSeconds === 3);
    expect(leader.mayWrite).toBe(true);
    await leader.end();
    const next = candidates[1];
    await until("the next one leads", () => next?.mayWrite || undefined);
    expect((await record()).transitions).toBe(0);
  });

  it("goes on leading while watches stall and single renewals fail", async () => {
    const [leader, follower] = await leaderAndFollower();
    for (const { proxy } of [leader, follower]) for (const watch of proxy.watches("/leases")) watch.stall();
    const faults = [{ kind: "Reset" }, { kind: "Answer", status: 500 }, { kind: "Answer", status: 429 }] as const;
    for (const fault of faults) {
      leader.proxy.fail(isWrite, fault, 1);
      const errors = leader.errors.length;
      await until("it was told of the fault", () => leader.errors.length > errors || undefined);
    }
    const renewed = leader.proxy.answered.filter(isWrite).length;
    await until("it renews", () => leader.proxy.answered.filter(isWrite).length > renewed + 2 || undefined);
    expect([leader.terms.length, follower.terms.length]).toEqual([1, 0]);
  });
});

/** One process's part in the election, behind a proxy of its own. */
class Candidate {
  readonly identity: string;
  readonly states: ElectionState[] = [];
  readonly errors: unknown[] = [];
  readonly terms: Term[] = [];
  readonly #name: string;
  readonly #stop = new AbortController();
  #proxy: FaultProxy | undefined;
  #credentials: Credentials | undefined;
  #election: LeaderElection | undefined;
  #running: Promise<void> | undefined;

  constructor(name: string) {
    this.#name = name;
    this.identity = uniqueIdentity("candidate");
  }

  get proxy(): FaultProxy {
    if (this.#proxy === undefined) throw new Error("Cannot use the proxy because the candidate has not begun");
    return this.#proxy;
  }

  get election(): LeaderElection {
    if (this.#election === undefined) throw new Error("Cannot use the election because the candidate has not begun");
    return this.#election;
  }

  get mayWrite(): boolean {
    return this.terms.some((term) => {
      try {
        term.assertHeld();
        return true;
      } catch {
        return false;
      }
    });
  }

  async begin(upstream: Credentials, prepare: (proxy: FaultProxy) => void): Promise<void> {
    this.#proxy = new FaultProxy(upstream);
    this.#credentials = credentialsOf(await this.#proxy.start());
    prepare(this.#proxy);
    this.#election = new LeaderElection({
      client: testClient(this.#credentials),
      lease: { namespace, name: this.#name },
      identity: this.identity,
      timing,
      now: () => performance.now(),
      random: Math.random,
      onChange: (state) => this.states.push(state),
      onError: (error) => this.errors.push(error),
    });
    this.#running = this.#election.run(this.#stop.signal, (term) => {
      this.terms.push(term);
      return new Promise((resolve) => term.leaving.addEventListener("abort", () => resolve(), { once: true }));
    });
  }

  /** Asks it to stop, and waits until it has given up what it held. */
  async end(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new Error("asked to stop"));
    await this.#running;
    await this.#credentials?.close();
    await this.#proxy?.stop();
  }
}
