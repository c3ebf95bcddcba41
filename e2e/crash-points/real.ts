import { setTimeout as delay } from "node:timers/promises";
import { type Cut, cutsOf, describeCut, differenceOf, type ScriptCuts, type ScriptPlay } from "./cut.ts";
import { type RealScript, realScripts } from "./real-scripts.ts";
import { type Access, RealStage } from "./real-stage.ts";

/** So long nothing may be written for an operator to have come to rest. */
const restMs = 2_000;
const patienceMs = 30_000;
/** How often a cut is tried whose write did not come: operators write their statuses now together, now one by one. */
const tries = 3;
let drawn = 0;

/** How scripts are cut on a server: so many at a time, all cuts or some. */
export type RealOptions = Readonly<{
  lanes: number;
  signal: AbortSignal;
  chosen?: (cut: Cut) => boolean;
  told?: (line: string) => void;
}>;

/** Plays scripts on a real API server undisturbed, and then once for each cut of each write that was sent. */
export async function cutOnServer(
  access: Access,
  { lanes, signal, chosen = () => true, told = () => undefined }: RealOptions,
  scripts: readonly RealScript[] = realScripts,
): Promise<readonly ScriptCuts[]> {
  const recorded: Recorded[] = [];
  await inLanes(scripts, lanes, async (script) => {
    const undisturbed = await playOnServer(access, { script, cut: null, isDone: () => true }, signal);
    if (undisturbed.broken.length > 0) {
      throw new Error(`Cannot cut the script ${script.name} because, undisturbed, ${undisturbed.broken.join("; ")}`);
    }
    const cuts = cutsOf(undisturbed.writes).filter(chosen);
    recorded.push({ script, undisturbed, cuts, missed: [] });
    told(`${script.name}: ${undisturbed.writes.length} writes on a real API server`);
  });
  const all = recorded.flatMap(({ cuts, missed, ...rest }) => cuts.map((cut) => ({ ...rest, cut, missed })));
  await inLanes(all, lanes, async ({ missed, ...cutting }) => {
    const why = await whyNotSame(access, cutting, signal);
    if (why === null) return;
    const { cut, script, undisturbed } = cutting;
    missed.push(`${describeCut(undisturbed, cut)}: ${why}`);
    told(`${script.name}: ${missed.at(-1)}`);
  });
  return recorded.map(({ script: { name }, undisturbed: { writes }, cuts, missed }) => {
    return { script: name, writes, plays: cuts.length, same: cuts.length - missed.length, missed };
  });
}

type Recorded = Readonly<{
  script: RealScript;
  undisturbed: ScriptPlay;
  cuts: readonly Cut[];
  /** What became known of its cuts. */
  missed: string[];
}>;
type Cutting = Pick<Recorded, "script" | "undisturbed"> & Readonly<{ cut: Cut }>;

async function whyNotSame(access: Access, { script, undisturbed, cut }: Cutting, signal: AbortSignal) {
  let why: string | null = null;
  for (let tried = 0; tried < tries; tried += 1) {
    const isDone = (play: ScriptPlay) => differenceOf(undisturbed, cut, play) === null;
    const play = await playOnServer(access, { script, cut, isDone }, signal);
    why = differenceOf(undisturbed, cut, play);
    if (play.wasCut) return why;
  }
  return why;
}

type Asked = Readonly<{ script: RealScript; cut: Cut | null; isDone: (play: ScriptPlay) => boolean }>;

/** Plays a script, and waits until what it came to is as it should be, or for a while. */
async function playOnServer(access: Access, asked: Asked, signal: AbortSignal): Promise<ScriptPlay> {
  const { script, cut, isDone } = asked;
  signal.throwIfAborted();
  drawn += 1;
  const stage = await RealStage.begin(access, {
    namespace: `cut-${process.pid}-${drawn}`,
    cut,
    operators: script.operators,
  });
  try {
    const { operators } = stage;
    const seen = async (): Promise<ScriptPlay> => ({
      writes: operators.writes,
      wasCut: operators.wasCut,
      ...(await stage.look()),
      broken: cut === null ? operators.errors : [],
    });
    const failure = await script.play(stage).then(
      () => null,
      (error: unknown) => String(error),
    );
    if (failure !== null) return { ...(await seen()), broken: [failure] };
    await comesToRest(operators);
    const endsAt = performance.now() + patienceMs;
    for (;;) {
      signal.throwIfAborted();
      const play = await seen();
      if (isDone(play) || performance.now() > endsAt) return play;
      if (!play.wasCut) return play;
      await delay(200);
    }
  } finally {
    await stage.leave();
  }
}

/** Returns when nothing was written for a while. */
async function comesToRest({ writes }: { writes: readonly unknown[] }): Promise<void> {
  for (let before = -1; before !== writes.length; ) {
    before = writes.length;
    await delay(restMs);
  }
}

/** Does the same with each of the items, so many at a time. */
async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const lane = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
