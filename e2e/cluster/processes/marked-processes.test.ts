import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import { endMarked, findMarked } from "./marked-processes.ts";
import { identify, isAlive } from "./process-identity.ts";

const mark = { name: "TRAININGRUN_TEST_MARK", value: crypto.randomUUID() };

/** A shell that leaves a child behind: `sleep` outlives it. */
async function leaveChild(value: string) {
  const script = "sleep 600 >/dev/null 2>&1 & echo $!";
  const shell = spawn("sh", ["-c", script], { env: { ...process.env, [mark.name]: value } });
  const [line] = await once(shell.stdout, "data");
  const identity = identify(Number(String(line)));
  if (identity === undefined) throw new Error("Cannot test: sleep did not start");
  return identity;
}

it.skipIf(process.platform !== "linux")(
  "ends what carries the mark, whoever started it, and nothing else",
  async () => {
    const ours = await leaveChild(mark.value);
    const other = await leaveChild(`${mark.value}-other`);
    expect(findMarked(mark)).toEqual([ours]);
    await endMarked(mark);
    expect([isAlive(ours), isAlive(other)]).toEqual([false, true]);
    await endMarked({ ...mark, value: `${mark.value}-other` });
    expect(isAlive(other)).toBe(false);
  },
);
