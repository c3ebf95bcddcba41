import { createInterface } from "node:readline";
import { fileReplacements } from "../simulation/host/files.ts";
import { installHost } from "../simulation/host/install.ts";
import type { Cut, ScriptPlay } from "./cut.ts";

/** One play of a script that a worker is asked for, as a line of JSON. */
export type Asked = Readonly<{ script: string; cut: Cut | null }>;

/** What it answers, as a line of JSON. */
export type Answer = ScriptPlay | Readonly<{ error: string }>;

// The host first, as in the simulation's own worker.
installHost({ models: fileReplacements() });
const { playScript } = await import("./sim-play.ts");
const { scripts } = await import("./scripts.ts");

for await (const line of createInterface({ input: process.stdin })) {
  const asked: Asked = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await answerTo(asked))}\n`);
}

async function answerTo({ script: name, cut }: Asked): Promise<Answer> {
  try {
    const script = scripts.find((each) => each.name === name);
    if (script === undefined) throw new Error(`Cannot play ${JSON.stringify(name)} because there is no such script`);
    return await playScript(script, cut);
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
