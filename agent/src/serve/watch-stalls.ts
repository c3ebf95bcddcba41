import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { maxDumpLength } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readControlFile } from "../control-directory.ts";
import { keepDump } from "./kept-dumps.ts";
import type { Reporter } from "./reporter.ts";
import { StallWatch, type Standstill } from "./stall-watch.ts";
import { askForDump } from "./trainer-dump.ts";

const lookMs = 1_000;
/** A volume that hangs may be why no step is done: it holds up no word of that. */
const keepMs = 2_000;

type Watching = Readonly<{ reporter: Reporter; signal: AbortSignal; everyMs?: number }>;

/**
 * Watches the trainer's steps and its end, where the run wants that, until `signal`; has a standstill explained by the trainer's
 * process, and then tells of it for as long as it lasts. In a rhythm of its own: neither a verification that takes long nor
 * a volume that hangs may keep it from looking.
 */
export async function watchForStalls(
  environment: AgentEnvironment,
  { reporter, signal, everyMs = lookMs }: Watching,
): Promise<void> {
  const timeoutSeconds = environment.TRAININGRUN_STALL_SECONDS;
  if (timeoutSeconds === undefined) return;
  const watch = new StallWatch(timeoutSeconds);
  const look = async () =>
    (await isOver(environment, reporter)) ? null : watch.look(await reporter.progress.read(), performance.now());
  for (; !signal.aborted; await sleep(everyMs, undefined, { signal }).catch(() => undefined)) {
    const found = await look();
    const told = reporter.stall;
    if (found === null) reporter.stall = null;
    else if (told?.step === found.step) reporter.stall = { ...told, seconds: found.seconds };
    else {
      const dump = await explained(environment, found, signal);
      // One that went on while it was asked has not stalled.
      const still = await look();
      reporter.stall = still === null ? null : { ...still, dump };
    }
  }
}

/** Nothing is expected of a trainer that has ended its training, nor of an attempt that a newer one has taken over. */
async function isOver({ TRAININGRUN_CONTROL: control }: AgentEnvironment, { knowledge }: Reporter): Promise<boolean> {
  if (knowledge.phase === "Fenced") return true;
  for (const name of [controlFiles.done, controlFiles.preempted]) {
    if ((await readControlFile(join(control, name), TrainerRecord)) !== null) return true;
  }
  return false;
}

/** What the trainer's process says it is doing, in short; the volume gets all of it. Null where it could not be asked. */
async function explained(
  environment: AgentEnvironment,
  { step, seconds, expects }: Standstill,
  signal: AbortSignal,
): Promise<string | null> {
  const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_NODE: node } = environment;
  const what =
    expects === "Step"
      ? `Attempt ${attempt} has done no step after step ${step} for ${seconds} s`
      : `Attempt ${attempt} has not come to its end for ${seconds} s after its last step, ${step}`;
  console.error(`${what}; its process is asked what it is doing.`);
  let text: string;
  try {
    text = await askForDump(environment, { signal });
  } catch (error) {
    console.error(`The trainer cannot be asked what it is doing: ${String(error)}`);
    return null;
  }
  const whole = `${what}, on node ${node}, seen at ${new Date().toISOString()}.\n\n${text}`;
  const keeping = keepDump(environment, { step, text: whole }).then(
    (path) => console.error(`What the trainer's process is doing: ${path}`),
    (error: unknown) => console.error(`What the trainer's process is doing is not on the volume: ${String(error)}`),
  );
  await Promise.race([keeping, sleep(keepMs, undefined, { signal, ref: false }).catch(() => undefined)]);
  return shortened(text);
}

/** Whole lines, as far as they fit. */
function shortened(text: string): string {
  if (text.length <= maxDumpLength) return text.trimEnd();
  const cut = text.slice(0, maxDumpLength - 2);
  const end = cut.lastIndexOf("\n");
  return `${end > 0 ? cut.slice(0, end) : cut.toWellFormed().replace(/\ufffd$/, "")}\n…`;
}
