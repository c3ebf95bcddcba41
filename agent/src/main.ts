/**
 * The pod-side program. `agent restore` makes the newest verified checkpoint the trainer's starting point and ends;
 * `agent serve` does the same where the trainer waits for it, and then verifies, reports and prunes until the kubelet
 * stops it.
 */
// First: its signal handlers must stand before anything else is loaded.
import "./stop.ts";

import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { EnvironmentError, readEnvironment } from "./environment.ts";
import { exitCodes } from "./exit-codes.ts";
import { restoreCommand } from "./restore-command.ts";
import { stop } from "./stop.ts";
import { TerminationLog } from "./termination-log.ts";

type Command = (environment: AgentEnvironment, stop: AbortSignal) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
  restore: restoreCommand,
  // The server's modules are loaded only where they are used: a restore is on the way of every recovery.
  serve: async (environment, stop) => (await import("./serve-command.ts")).serveCommand(environment, stop),
};

async function main(): Promise<number> {
  const name = process.argv[2] ?? "";
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    return refuse(
      `Cannot start because the command must be restore or serve: ${name === "" ? "none was given" : name}`,
    );
  }
  let environment: AgentEnvironment;
  try {
    environment = readEnvironment(process.env);
  } catch (error) {
    if (error instanceof EnvironmentError) return refuse(error.message);
    throw error;
  }
  return command(environment, stop);
}

/** Says why nothing was started, on stderr and where the pod's status shows it. */
function refuse(message: string): number {
  console.error(message);
  const path = process.env.TRAININGRUN_TERMINATION_LOG;
  if (path) new TerminationLog(path).writeText(message);
  return exitCodes.cannotStart;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    refuse(`The agent ended by a defect of its own: ${String(error)}`);
    process.exit(exitCodes.defect);
  },
);
