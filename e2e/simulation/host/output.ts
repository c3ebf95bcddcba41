import { format } from "node:util";
import type { SimProcess } from "./process.ts";
import { closing, dispatching, type Replacement, replacing } from "./replacement.ts";

/** What a process says: its console, its streams and its warnings go into its own last lines and into the trace. */
export function outputReplacements(): Replacement[] {
  return [
    ...(["debug", "log", "info", "warn", "error"] as const).map((name) =>
      replacing(console, { name, of: "console" }, (real) =>
        dispatching(real, (process, ...args: unknown[]) => say(process, format(...args))),
      ),
    ),
    ...(["stdout", "stderr"] as const).map((stream) => streamWrite(stream)),
    replacing(process, { name: "emitWarning", of: "process" }, (real) => {
      const simulated = (caller: SimProcess, warning: string | Error) => say(caller, `warning: ${String(warning)}`);
      return dispatching(real as (warning: string | Error) => void, simulated);
    }),
    ...closing(process, { names: endings, of: "process" }),
    ...closing(process, { names: ["memoryUsage", "cpuUsage", "resourceUsage", "chdir"], of: "process" }),
  ];
}

/** A program that ends itself would end the worker with all its processes. */
const endings = ["exit", "reallyExit", "abort", "kill"] as const;

function streamWrite(stream: "stdout" | "stderr"): Replacement {
  return replacing(process[stream], { name: "write", of: `process.${stream}` }, (real) => {
    const simulated = (caller: SimProcess, text: unknown) => {
      say(caller, String(text));
      return true;
    };
    return dispatching<[text: unknown, ...rest: unknown[]], boolean>(
      real as (text: unknown) => boolean,
      simulated,
    ) as typeof real;
  });
}

/** The dead say nothing. */
function say(process: SimProcess, text: string): void {
  if (process.state !== "dead") process.print(text.trimEnd());
}
