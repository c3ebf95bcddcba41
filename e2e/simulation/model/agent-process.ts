import { deleteCommand } from "@trainingrun/agent/delete-command.ts";
import { EnvironmentError, readEnvironment } from "@trainingrun/agent/environment.ts";
import { exitCodes } from "@trainingrun/agent/exit-codes.ts";
import { restoreCommand } from "@trainingrun/agent/restore-command.ts";
// What the agent loads only where it needs it: a play may load nothing.
import "@trainingrun/agent/serve/metrics.ts";
import "@trainingrun/agent/serve/mirror.ts";
import { serveCommand } from "@trainingrun/agent/serve-command.ts";
import { TerminationLog } from "@trainingrun/agent/termination-log.ts";
import { AgentEnvironment, DeleteEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import "@trainingrun/checkpoint/store/object/object-store.ts";
import type { SimProcess } from "../host/process.ts";
import type { ContainerStart } from "./cluster/program.ts";

type Command = (start: ContainerStart) => (stop: AbortSignal) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
  restore: ({ variables }) => {
    const environment = readEnvironment(AgentEnvironment, variables);
    return (stop) => restoreCommand(environment, stop);
  },
  serve: ({ variables, process }) => {
    const environment = readEnvironment(AgentEnvironment, variables);
    return (stop) => serveCommand(environment, stop, { lookMs: lookMsOf(process) });
  },
  delete: ({ variables }) => {
    const environment = readEnvironment(DeleteEnvironment, variables);
    return (stop) => deleteCommand(environment, stop);
  },
};

/** The agent's program: its real commands, begun and ended as `main` does it. */
export async function agentProgram(start: ContainerStart): Promise<number> {
  const { process, args, variables } = start;
  const command = commands[args[0] ?? ""];
  if (command === undefined) throw new Error(`Cannot start an agent that is told ${JSON.stringify(args)}`);
  const log = (message: string) => new TerminationLog(variables.TRAININGRUN_TERMINATION_LOG ?? "").writeText(message);
  let work: ReturnType<Command>;
  try {
    work = command(start);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    process.print(error.message);
    log(error.message);
    return exitCodes.cannotStart;
  }
  try {
    return await work(process.stop);
  } catch (error) {
    process.print(String(error));
    log(`The agent ended by a defect of its own: ${String(error)}`);
    return exitCodes.defect;
  }
}

/** As a pod has it in a tenth of the plays: what is new is told by the disk, unless a fault keeps it silent. */
function lookMsOf({ scheduler }: SimProcess): number {
  return scheduler.chance.draw("agent", "looks", 0) < 0.1 ? 1_000 : 5_000;
}
