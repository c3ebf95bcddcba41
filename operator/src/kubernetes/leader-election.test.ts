import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fairWeather } from "../../test/election-network.ts";
import { type ElectionProcess, untilAsked } from "../../test/election-process.ts";
import { ElectionWorld } from "../../test/election-world.ts";
import { TermNotEndedError, uniqueIdentity } from "./leader-election.ts";
import { NotLeadingError, ResigningError } from "./term.ts";

describe("leader election, in a virtual world", () => {
  let world: ElectionWorld;

  beforeEach(() => {
    world = new ElectionWorld(7);
    world.enter();
  });
  afterEach(() => world.leave());

  async function leaderAndFollower(): Promise<[leader: ElectionProcess, follower: ElectionProcess]> {
    const leader = world.start();
    await world.pass(1_000);
    const follower = world.start();
    await world.pass(5_000);
    expect(world.leaders).toEqual([leader]);
    return [leader, follower];
  }

  it("makes the Lease, leads, and renews each 2 s", async () => {
    const leader = world.start();
    await world.pass(1_000);
    expect(leader.states).toEqual(["Following", "Acquiring", "Leading"]);
    expect(world.network.lease.record).toMatchObject({ holder: "p0", durationSeconds: 15, transitions: 0 });
    const before = world.network.lease.counts.writes;
    await world.pass(60_000);
    expect(world.network.lease.counts.writes - before).toBeGreaterThanOrEqual(29);
    expect(world.network.lease.counts.writes - before).toBeLessThanOrEqual(30);
    expect(leader.terms).toHaveLength(1);
  });

  it("asks for nothing but the watch while another leads", async () => {
    const [, follower] = await leaderAndFollower();
    const asked = follower.requests;
    await world.pass(30_000);
    expect(follower.requests - asked).toBeLessThanOrEqual(1);
  });

  it("takes over within 17 s of the leader's death", async () => {
    const [leader, follower] = await leaderAndFollower();
    leader.kill();
    const tookMs = await world.until(() => world.leaders.includes(follower));
    expect(tookMs).toBeGreaterThan(12_900);
    expect(tookMs).toBeLessThanOrEqual(15_500);
    expect(world.network.lease.record).toMatchObject({ holder: "p1", transitions: 1 });
    expect(follower.terms[0]?.number).toBe(1);
  });

  it("takes over no later where the watch says nothing and each look must be asked for", async () => {
    const [leader, follower] = await leaderAndFollower();
    world.network.weather = { ...fairWeather, silentWatches: true };
    await world.pass(7_000);
    leader.kill();
    expect(await world.until(() => world.leaders.includes(follower))).toBeLessThanOrEqual(18_000);
  });

  it("takes over within a second of a release", async () => {
    const [leader, follower] = await leaderAndFollower();
    leader.terminate();
    expect(await world.until(() => world.leaders.includes(follower))).toBeLessThanOrEqual(1_000);
    await world.pass(100);
    expect(leader.states.slice(-2)).toEqual(["SteppingDown", "Released"]);
    expect(leader.end).toBe("Resolved");
  });

  it("hands the lease on where its work resigns, takes none for as long as that says, and goes on", async () => {
    const why = new ResigningError("cannot list", { restMs: 60_000 });
    const leader = world.start({ work: () => Promise.reject(why) });
    const follower = world.start();
    expect(await world.until(() => world.leaders.includes(follower))).toBeLessThanOrEqual(2_000);
    expect(leader.errors).toEqual([why]);
    follower.kill();
    // The lease is free by now, and nobody takes it.
    await world.pass(40_000);
    expect([leader.terms.length, leader.end, world.leaders]).toEqual([1, undefined, []]);
    await world.until(() => leader.terms.length === 2);
    leader.terminate();
    await world.pass(3_000);
    expect(leader.end).toBe("Resolved");
  });

  it("turns while it rests, so that nobody takes it for stuck", async () => {
    const leader = world.start({ work: () => Promise.reject(new ResigningError("cannot list", { restMs: 60_000 })) });
    await world.until(() => leader.terms.length === 1);
    for (let second = 0; second < 50; second += 1) {
      await world.pass(1_000);
      expect(leader.monotonicMs - leader.election.turnedAtMs).toBeLessThanOrEqual(3_000);
    }
  });

  it("gives the lease up only after the work has ended, and lets it write until then for a second", async () => {
    let mayWriteAfterMs: number | undefined;
    const leader = world.start({
      work: async (term) => {
        await untilAsked(term);
        await new Promise<void>((resolve) => setTimeout(resolve, 600));
        mayWriteAfterMs = term.signal.aborted ? undefined : 600;
        await new Promise<void>((resolve) => setTimeout(resolve, 5_000));
      },
    });
    await world.pass(1_000);
    leader.terminate();
    await world.pass(1_100);
    expect(mayWriteAfterMs).toBe(600);
    expect(leader.terms[0]?.signal.aborted).toBe(true);
    expect(world.network.lease.record?.holder).toBe("p0");
    await world.pass(6_000);
    expect(world.network.lease.record?.holder).toBe("");
    expect(leader.end).toBe("Resolved");
  });

  it("does not give the lease up where the work does not end, and says so", async () => {
    const stuck = world.start({ work: () => new Promise(() => undefined) });
    await world.pass(1_000);
    stuck.terminate();
    await world.pass(13_000);
    expect(stuck.end).toBeInstanceOf(TermNotEndedError);
    expect(String(stuck.end)).toContain("the work of term 0 has not ended 10000 ms after its term");
    expect(world.network.lease.record?.holder).toBe("p0");
  });

  it("gives the lease up where the work ends by itself, and passes on the error it ended with", async () => {
    const broken = world.start({ work: () => Promise.reject(new Error("a defect")) });
    await world.pass(1_000);
    expect(String(broken.end)).toBe("Error: a defect");
    expect(world.network.lease.record?.holder).toBe("");
    const done = world.start({ work: () => Promise.resolve() });
    await world.pass(1_000);
    expect(done.end).toBe("Resolved");
    expect(world.network.lease.record?.holder).toBe("");
  });

  it("steps down, and goes on as a candidate, 10 s after the last renewal that came through was sent", async () => {
    const [leader, follower] = await leaderAndFollower();
    leader.isCutOff = true;
    const heldMs = await world.until(() => !leader.mayWrite);
    expect(heldMs).toBeGreaterThan(7_900);
    expect(heldMs).toBeLessThanOrEqual(10_010);
    expect(String(leader.terms[0]?.signal.reason)).toContain("no renewal came through for 10000 ms: term 0");
    await world.pass(10_000);
    expect(world.leaders).toEqual([follower]);
    expect(leader.isDead).toBe(false);
    world.heal();
    follower.kill();
    expect(await world.until(() => world.leaders.includes(leader))).toBeLessThanOrEqual(17_000);
    expect(leader.terms.map(({ number }) => number)).toEqual([0, 2]);
    expect(() => leader.terms[0]?.assertHeld()).toThrow(NotLeadingError);
  });

  it("leads on where the reply to a renewal is lost, and where it comes too late", async () => {
    const [leader] = await leaderAndFollower();
    // Only by reading can it know: the watch is as silent as the server.
    world.network.weather = { ...fairWeather, loseAnswer: 1, silentWatches: true };
    await world.pass(3_900);
    world.network.weather = fairWeather;
    await world.pass(20_000);
    expect(world.leaders).toEqual([leader]);
    expect(leader.terms).toHaveLength(1);
    expect(world.network.counts.unheardWrites).toBeGreaterThan(0);
  });

  it("knows a Lease again that it made and never heard of", async () => {
    const first = world.start();
    await world.until(() => first.states.includes("Acquiring"));
    world.network.weather = { ...fairWeather, loseAnswer: 1, silentWatches: true };
    await world.until(() => world.network.lease.record !== null);
    world.network.weather = fairWeather;
    expect(await world.until(() => first.mayWrite)).toBeLessThanOrEqual(5_000);
    expect(first.terms).toHaveLength(1);
  });

  it("does not write when it wakes from a pause in which another took over", async () => {
    const [leader, follower] = await leaderAndFollower();
    leader.pause(30_000);
    await world.pass(30_010);
    expect(world.leaders).toEqual([follower]);
    expect(leader.terms[0]?.signal.aborted).toBe(true);
    expect(world.violations).toEqual([]);
    await world.pass(5_000);
    expect(leader.election.state).toBe("Following");
    expect(leader.election.holder).toBe("p1");
  });

  it("does not write when its machine wakes, until it has renewed", async () => {
    const [leader] = await leaderAndFollower();
    leader.suspend(5_000);
    await world.pass(5_000);
    expect(leader.mayWrite).toBe(false);
    await world.pass(2_500);
    expect(leader.mayWrite).toBe(true);
    expect(leader.terms).toHaveLength(1);
  });

  it("leads on where the Lease is deleted by hand, and the others wait", async () => {
    const [leader, follower] = await leaderAndFollower();
    world.network.lease.delete();
    await world.pass(500);
    expect(world.network.lease.record?.holder).toBe("p0");
    await world.pass(20_000);
    expect(world.leaders).toEqual([leader]);
    expect(follower.terms).toEqual([]);
  });

  it("stops at once where another name is written into the Lease by hand", async () => {
    const [leader, follower] = await leaderAndFollower();
    world.network.lease.edit({ holderIdentity: "someone" });
    expect(await world.until(() => !leader.mayWrite)).toBeLessThanOrEqual(100);
    expect(String(leader.terms[0]?.signal.reason)).toContain("another holds the lease: someone: term 0");
    await world.pass(17_000);
    expect(world.leaders).toHaveLength(1);
    expect([leader, follower]).toContain(world.leaders[0]);
  });

  it("goes on whatever is thrown by those it tells", async () => {
    world.network.weather = { ...fairWeather, error: 0.5 };
    const process = world.start({
      told: () => {
        throw new Error("told badly");
      },
    });
    await world.pass(10_000);
    expect(process.errors.length).toBeGreaterThan(0);
    world.network.weather = fairWeather;
    await world.pass(3_000);
    expect(world.leaders).toEqual([process]);
    process.terminate();
    await world.pass(2_000);
    expect(process.end).toBe("Resolved");
  });

  it("holds still for as long as a busy server asks, and leads then", async () => {
    world.network.weather = { ...fairWeather, error: 1 };
    const process = world.start();
    await world.pass(10_000);
    expect(process.errors.length).toBeGreaterThan(3);
    expect(process.requests).toBeLessThan(40);
    world.network.weather = fairWeather;
    expect(await world.until(() => process.mayWrite)).toBeLessThanOrEqual(2_000);
  });
});

describe("an identity", () => {
  it("is this process's alone", () => {
    expect(uniqueIdentity("operator-0")).toMatch(/^operator-0_[0-9a-f-]{36}$/);
    expect(uniqueIdentity("operator-0")).not.toBe(uniqueIdentity("operator-0"));
  });
});
