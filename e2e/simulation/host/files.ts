import fs from "node:fs";
import { simulatedPromises } from "./files-promises.ts";
import { simulatedSync } from "./files-sync.ts";
import { actingProcess, type SimProcess, unending } from "./process.ts";
import type { Replacement } from "./replacement.ts";

/**
 * The functions of `node:fs` and `node:fs/promises` that product code calls, answered from the disks of the process that
 * calls, see `giveFiles`. Every other one stays closed.
 */
export function fileReplacements(): Replacement[] {
  return [
    ...Object.entries(simulatedPromises).map(([name, simulated]) =>
      answering({ owner: fs.promises, of: "fs.promises" }, { name, simulated, whenDead: unending }),
    ),
    ...Object.entries(simulatedSync).map(([name, simulated]) =>
      answering({ owner: fs, of: "fs" }, { name, simulated, whenDead: null }),
    ),
  ];
}

/** Node's own signatures have many forms; each of these takes the ones that product code uses, and refuses the others. */
type Simulated = Readonly<{
  name: string;
  simulated: (process: SimProcess, ...args: never[]) => unknown;
  /** What a dead process is answered, where the function does not see to that itself. */
  whenDead: (() => unknown) | null;
}>;

function answering(
  { owner, of }: Readonly<{ owner: object; of: string }>,
  { name, simulated, whenDead }: Simulated,
): Replacement {
  return {
    path: `${of}.${name}`,
    apply() {
      const real: unknown = Reflect.get(owner, name);
      if (typeof real !== "function") throw new Error(`Cannot replace ${of}.${name} because this Node has none`);
      const value = new Proxy(real, {
        apply(target, self, args) {
          const process = actingProcess();
          if (process === undefined) return Reflect.apply(target, self, args);
          if (whenDead !== null && process.state === "dead") return whenDead();
          return Reflect.apply(simulated, undefined, [process, ...args]);
        },
      });
      Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: true });
    },
  };
}
