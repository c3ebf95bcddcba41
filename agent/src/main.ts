/**
 * The pod-side program. `agent restore` makes the newest verified checkpoint the trainer's starting point and ends;
 * `agent serve` does the same where the trainer waits for it, and then verifies, reports and prunes until the kubelet
 * stops it. `agent delete` removes what a deleted run has in an object store.
 */
// First: its signal handlers must stand before anything else is loaded.
import "./stop.ts";

import { AgentEnvironment, DeleteEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { EnvironmentError, readEnvironment } from "./environment.ts";
import { exitCodes } from "./exit-codes.ts";
import { restoreCommand } from "./restore-command.ts";
import { stop } from "./stop.ts";
import { TerminationLog } from "./termination-log.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/** Reads what the command needs to know, or throws {@link EnvironmentError}, and returns what is to be done. */
type Command = (variables: Variables) => (stop: AbortSignal) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
  restore: (variables) => {
    const environment = readEnvironment(AgentEnvironment, variables);
    return (stop) => restoreCommand(environment, stop);
  },
  // The others' modules are loaded only where they are used: a restore is on the way of every recovery.
  serve: (variables) => {
    const environment = readEnvironment(AgentEnvironment, variables);
    return async (stop) => (await import("./serve-command.ts")).serveCommand(environment, stop);
  },
  delete: (variables) => {
    const environment = readEnvironment(DeleteEnvironment, variables);
    return async (stop) => (await import("./delete-command.ts")).deleteCommand(environment, stop);
  },
};

async function main(): Promise<number> {
  const name = process.argv[2] ?? "";
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    return refuse(
      `Cannot start because the command must be restore, serve or delete: ${name === "" ? "none was given" : name}`,
    );
  }
  let work: ReturnType<Command>;
  try {
    work = command(process.env);
  } catch (error) {
    if (error instanceof EnvironmentError) return refuse(error.message);
    throw error;
  }
  return work(stop);
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
