import { trainerOf } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Obstacle } from "./supported.ts";

const shells: readonly string[] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];

/**
 * A shell that stays process 1 of the trainer's container does not pass SIGTERM on, so the final checkpoint would
 * never be saved. Where the script hands over with `exec`, all is well.
 */
export function shellCommand(run: TrainingRun): Obstacle | null {
  const trainer = trainerOf(run.spec.template);
  const words = [...(trainer?.command ?? []), ...(trainer?.args ?? [])];
  const [program = "", ...rest] = words;
  const name = program.split("/").at(-1) ?? "";
  const flag = rest.findIndex((word) => /^-[a-z]*c$/.test(word));
  if (!shells.includes(name) || flag === -1) return null;
  const script = rest[flag + 1] ?? "";
  if (/(^|[\s;&|])exec\s+[^\s<>0-9]/.test(script)) return null;
  return {
    reason: "ShellCommand",
    message: `Cannot start an attempt because the training container's command runs under \`${name} -c\`: the shell stays process 1 and keeps SIGTERM from the trainer, so no final checkpoint would be saved. Write \`exec\` before the last command of the script, or name the program in command without a shell.`,
  };
}
