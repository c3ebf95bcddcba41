import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const directory = join(import.meta.dirname, "../../../.build/victim");
let built: Promise<string> | undefined;

/** The path of the victim in one file, which starts in a third of the time; made anew once per process. */
export function victimProgram(): Promise<string> {
  built ??= bundle();
  return built;
}

async function bundle(): Promise<string> {
  const building = join(directory, `victim.${process.pid}.mjs`);
  const program = join(directory, "victim.mjs");
  await mkdir(directory, { recursive: true });
  await build({
    entryPoints: [join(import.meta.dirname, "victim.ts")],
    outfile: building,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    logLevel: "warning",
  });
  // Another process may be running the old one, or building the same.
  await rename(building, program);
  return program;
}
