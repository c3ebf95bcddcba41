import { describe, expect, test } from "vitest";
import { Network } from "../../host/network.ts";
import { SimProcess } from "../../host/process.ts";
import { Scheduler } from "../../host/scheduler.ts";
import { nextWeights, weightsAfter } from "../trainer/weights.ts";
import { Meetings } from "./meetings.ts";
import { type Agreed, agreedOn, PeerLostError, type Word } from "./team.ts";

const word = (over: Partial<Word> = {}): Word => ({
  step: 1,
  weights: "blake3:a",
  base: null,
  stops: false,
  saving: "NotDue",
  isBusy: false,
  ...over,
});

/** Workers of one gang on machines of their own, of which some may be cut off. */
class Gang {
  readonly scheduler = new Scheduler({ seed: 3 });
  readonly cut = new Set<string>();
  /** What became of each worker's words, in the order of its steps. */
  readonly heard: string[][] = [];
  readonly processes: SimProcess[] = [];
  /** Where worker 0's name leads. */
  address: string | undefined = "10.0.0.2";
  readonly #network = new Network();
  readonly #meetings = new Meetings({
    addressOf: () => this.address,
    isOpen: (from, to) => from === to || !(this.cut.has(from) || this.cut.has(to)),
  });

  /** Lets workers begin, who do as many steps as each can. */
  begin(size: number, wordOf: (worker: number, step: number) => Partial<Word> = () => ({})): void {
    for (let rank = 0; rank < size; rank += 1) {
      const process = new SimProcess(this.scheduler, { name: `worker-${rank}` });
      this.#network.join(process, `10.0.${rank}.2`);
      this.processes.push(process);
      const heard: string[] = [];
      this.heard.push(heard);
      process.start(async () => {
        const place = { process, namespace: "team", address: "name", port: 1, rank, size };
        const team = await this.#meetings.meet(place, new Promise(() => {}));
        for (let step = 1; team !== null; step += 1) {
          await process.later(1_000);
          const agreed = team.agree(word({ step, weights: `blake3:${rank}`, ...wordOf(rank, step) }));
          const said = await agreed.then(saidOf, (error: unknown) => String(error));
          heard.push(said);
          if (!said.startsWith("blake3:")) return;
        }
      });
    }
  }

  pass(ms: number): Promise<boolean> {
    return this.scheduler.stepUntil(() => false, { untilMs: this.scheduler.now + ms });
  }
}

function saidOf({ all, stops }: Agreed): string {
  return `${all.join(" ")}${stops ? ", and stop" : ""}`;
}

describe("the workers of a gang", () => {
  test("do each step together, and all hear what each has brought", async () => {
    const gang = new Gang();
    gang.begin(3, (worker, step) => ({ stops: worker === 1 && step === 2 }));
    await gang.pass(2_900);
    const all = "blake3:0 blake3:1 blake3:2";
    expect(gang.heard).toEqual([0, 1, 2].map(() => [all, `${all}, and stop`]));
  });

  test("wait for a name that leads nowhere yet", async () => {
    const gang = new Gang();
    gang.address = undefined;
    gang.begin(2);
    await gang.pass(5_000);
    expect(gang.heard).toEqual([[], []]);
    gang.address = "10.0.0.2";
    await gang.pass(2_000);
    expect(gang.heard.map(({ length }) => length)).toEqual([1, 1]);
  });

  test.each([
    ["worker 0", 0],
    ["another worker", 2],
  ])("hear that %s has ended, and cannot finish their step", async (_, lost) => {
    const gang = new Gang();
    gang.begin(3);
    await gang.pass(1_600);
    gang.processes[lost]?.kill("SIGKILL");
    await gang.pass(5_000);
    for (const [worker, heard] of gang.heard.entries()) {
      const ends =
        worker === lost ? "blake3:0 blake3:1 blake3:2" : "PeerLostError: Cannot finish the step because worker";
      expect(heard.at(-1)).toContain(ends);
    }
  });

  test("wait for one that is cut off as long as that lasts, and hear nothing of its end meanwhile", async () => {
    const gang = new Gang();
    gang.begin(2);
    await gang.pass(1_600);
    gang.cut.add("10.0.1.2");
    await gang.pass(60_000);
    expect(gang.heard.map(({ length }) => length)).toEqual([1, 1]);
    gang.cut.clear();
    await gang.pass(3_000);
    expect(gang.heard[0]?.length).toBeGreaterThan(1);
    gang.cut.add("10.0.1.2");
    gang.processes[1]?.kill("the node lost its power");
    await gang.pass(60_000);
    expect(gang.heard[0]?.at(-1)).toMatch(/^blake3:/);
    gang.cut.clear();
    await gang.pass(2_000);
    expect(gang.heard[0]?.at(-1)).toContain("worker 1 is gone");
  });

  test("do not train together from two checkpoints", async () => {
    const gang = new Gang();
    gang.begin(2, (worker) => ({ base: `blake3:${worker}` }));
    await gang.pass(2_000);
    expect(gang.heard[0]).toEqual([expect.stringContaining("Cannot finish step 1 from blake3:0 because a worker")]);
    expect(gang.heard[1]).toEqual([expect.stringContaining("worker 0 is gone")]);
  });
});

describe("what workers agree on", () => {
  test.each<[string, Partial<Word>[], Partial<Agreed>]>([
    ["a save that is due", [{ saving: "Due" }, { saving: "Due" }], { saves: true, isBusy: false }],
    ["a save that one of them is asked for", [{}, { saving: "AskedFor" }], { saves: true }],
    ["none where one node holds it up", [{ saving: "HeldUp" }, { saving: "Due" }], { saves: false }],
    ["a save that has to wait for another one", [{ saving: "Due" }, { saving: "Due", isBusy: true }], { isBusy: true }],
    ["a stop that one of them is asked for", [{}, { stops: true }], { stops: true }],
    ["to go on", [{}, {}], { saves: false, stops: false, isBusy: false }],
  ])("%s", (_, brought, expected) => {
    const [first, ...others] = brought.map((over) => word(over));
    if (first === undefined) throw new Error("Cannot agree without a word");
    expect(agreedOn([first, ...others])).toMatchObject(expected);
  });

  test("is nothing where they are at different steps", () => {
    expect(() => agreedOn([word({ step: 2 }), word({ step: 3 })])).toThrow(PeerLostError);
  });
});

describe("what a gang has learnt", () => {
  test("is other than what one worker learns, and depends on every step of each", () => {
    const [alone, two, three] = [1, 2, 3].map((workers) => weightsAfter("uid", 4, workers));
    expect(new Set([alone, two, three, weightsAfter("uid", 5, 2), weightsAfter("other", 4, 2)]).size).toBe(5);
    expect(nextWeights("blake3:a", 1, ["blake3:a", "blake3:b"])).not.toBe(
      nextWeights("blake3:a", 1, ["blake3:a", "blake3:c"]),
    );
  });
});
