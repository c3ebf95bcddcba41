import crypto from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { mistakenScenarios } from "../planted/mistakes.ts";
import { scenarioNamed } from "./scenarios.ts";

/**
 * The process that is cut off: `victim.ts <scenario> <root>`. It says `ready`, waits for a line so that a tracer can be
 * attached, and plays its scenario, once more after an error. Its lines: `done`, or `failed <error>`.
 */
const [name = "", root = ""] = process.argv.slice(2);
const scenario = mistakenScenarios.find((mistaken) => mistaken.name === name) ?? scenarioNamed(name);

// The names of temporary files must be the same in every run: a case is told by call and path.
let ids = 0;
crypto.randomUUID = () => {
  ids += 1;
  return `00000000-0000-4000-8000-${String(ids).padStart(12, "0")}`;
};
syncBuiltinESMExports();

writeSync(1, "ready\n");
readSync(0, new Uint8Array(16));
for (let tries = 0; tries < 2; tries += 1) {
  try {
    await scenario.run(root);
    writeSync(1, "done\n");
    break;
  } catch (error) {
    writeSync(1, `failed ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
  }
}
