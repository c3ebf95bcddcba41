import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Answer, Asked } from "./worker.ts";

const worker = join(import.meta.dirname, "worker.ts");
/** No play takes so long: one that does hangs, which is told like any other failure. */
const longestPlayMs = 20_000;

/** Plays all that is asked for in Nodes of their own, as many at a time, each with the next one as soon as it is free. */
export async function playMany(
  asked: readonly Asked[],
  { workers, told = () => undefined }: { workers: number; told?: (answer: Answer) => void },
): Promise<readonly Answer[]> {
  const left = [...asked];
  const answers: Answer[] = [];
  const take = (answer: Answer) => {
    answers.push(answer);
    told(answer);
  };
  const work = async () => {
    while (left.length > 0) await inOneNode(() => left.shift(), take);
  };
  await Promise.all(Array.from({ length: workers }, work));
  return answers.toSorted((a, b) => a.asked.seed - b.asked.seed);
}

/** Plays in one Node until nothing is left, or until a play hangs or ends the Node. */
async function inOneNode(next: () => Asked | undefined, take: (answer: Answer) => void): Promise<void> {
  const child = spawn(process.execPath, [worker], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    for (let asked = next(); asked !== undefined; asked = next()) {
      child.stdin.write(`${JSON.stringify(asked)}\n`);
      const hangs = setTimeout(() => child.kill("SIGKILL"), longestPlayMs);
      const line = await lines.next();
      clearTimeout(hangs);
      if (line.done === true) {
        take({ asked, cpuMs: longestPlayMs, error: `Cannot end the play of seed ${asked.seed}: its Node is gone` });
        return;
      }
      take(JSON.parse(line.value));
    }
  } finally {
    child.stdin.end();
    await new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once("close", () => resolve());
    });
  }
}
