import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Call, parseTrace } from "./calls.ts";
import { whatIsWrong } from "./reader.ts";
import type { Scenario } from "./scenarios.ts";
import { type Ended, playTraced } from "./strace.ts";

/** What happens to a system call: the process is killed before it, or it fails. */
export const faults = ["KILL", "EIO", "ENOSPC"] as const;
export type Fault = (typeof faults)[number];

/** One field of the grid: what happens at which call. */
export type Case = Readonly<{
  scenario: Scenario;
  fault: Fault;
  call: string;
  /** Relative to the run's directory. */
  path: string;
  /** Which of the calls on that path, from 1. */
  when: number;
  /** The directory that the scenario starts from. */
  template: string;
}>;

/** What a case came to: `problem` is null where it held. */
export type Outcome = Readonly<{ problem: string | null; acknowledged: boolean }>;

const writing = [
  "mkdir,mkdirat,openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate",
  "fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,fchmod,chmod,close",
]
  .join(",")
  .split(",");
const reading = ["read", "pread64", "preadv", "getdents64", "readlink"];
/** Only these take room on a disk. */
const roomy = new Set(
  "mkdir,mkdirat,openat,write,pwrite64,writev,pwritev,ftruncate,fallocate,fsync,fdatasync,rename,link,linkat,symlink,symlinkat".split(
    ",",
  ),
);

/** Every field of a scenario's grid, from one run that nothing happens to. `workspace` is empty, and outlives the cases. */
export async function casesOf(scenario: Scenario, workspace: string): Promise<Case[]> {
  const root = join(workspace, "run");
  const template = join(workspace, "template");
  const trace = join(workspace, "trace");
  await scenario.prepare(template);
  await cp(template, root, { recursive: true, verbatimSymlinks: true });
  const ended = await playTraced(scenario.name, root, [
    "-o",
    trace,
    "-e",
    `trace=${[...writing, ...reading].join(",")}`,
  ]);
  if (ended.lines.at(-1) !== "done")
    throw new Error(`Cannot record ${scenario.name} because it ended: ${wordsOf(ended)}`);
  const places = placesOf(parseTrace(await readFile(trace, "utf8")), root);
  return places.flatMap((place) =>
    faults.filter((fault) => isPlausible(fault, place.call)).map((fault) => ({ scenario, fault, template, ...place })),
  );
}

type Place = Pick<Case, "call" | "path" | "when">;

/** The calls on the run's directory, each told by its first path there and how often it was made on that before. */
function placesOf(calls: readonly Call[], root: string): Place[] {
  const inside = (path: string) => path === root || path.startsWith(`${root}/`);
  return calls.flatMap(({ name, paths }, index) => {
    const path = paths.find(inside);
    if (path === undefined) return [];
    // strace tells a call by its first path alone.
    const before = calls
      .slice(0, index + 1)
      .filter((other) => other.name === name && other.paths.find(inside) === path);
    return [{ call: name, path: path.slice(root.length), when: before.length }];
  });
}

function isPlausible(fault: Fault, call: string): boolean {
  if (fault === "ENOSPC") return roomy.has(call);
  return fault === "EIO" || writing.includes(call);
}

/** Plays one field: the scenario with that fault, then the readers. The case's directory is gone afterwards. */
export async function playCase(one: Case, workspace: string): Promise<Outcome> {
  const root = join(workspace, "run");
  await mkdir(workspace, { recursive: true });
  try {
    await cp(one.template, root, { recursive: true, verbatimSymlinks: true });
    return await cutOff(one, { root, trace: join(workspace, "trace") });
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

async function cutOff(one: Case, { root, trace }: { root: string; trace: string }): Promise<Outcome> {
  const { scenario, fault, call, path, when } = one;
  const what = fault === "KILL" ? "signal=KILL" : `error=${fault}`;
  const inject = [
    "-o",
    trace,
    "-P",
    `${root}${path}`,
    "-e",
    `trace=${call}`,
    "-e",
    `inject=${call}:${what}:when=${when}`,
  ];
  const ended = await playTraced(scenario.name, root, inject);
  const acknowledged = ended.lines.includes("done");
  const hit = fault === "KILL" ? ended.signal === "SIGKILL" : (await readFile(trace, "utf8")).includes("(INJECTED)");
  if (!hit) return { problem: `the call was not met: ${wordsOf(ended)}`, acknowledged };
  const behaved = fault === "KILL" ? null : misbehaviour(ended);
  return { problem: behaved ?? (await whatIsWrong(root, scenario, { acknowledged })), acknowledged };
}

const named = /^failed (SaveFailedError|StorageUnavailableError|RestoreFailedError|FinishRefusedError): Cannot /;

/** After an error a process says what failed, in an error of ours, and does it again when it is asked to. */
function misbehaviour(ended: Ended): string | null {
  const [first = "", last = first] = ended.lines;
  if (ended.code !== 0 || ended.lines.length > 2 || last !== "done") return `it ended: ${wordsOf(ended)}`;
  return first === "done" || named.test(first) ? null : `it failed without a name: ${first}`;
}

function wordsOf({ lines, code, signal }: Ended): string {
  return `${lines.join("; ") || "it said nothing"} (${signal ?? `exit code ${code}`})`;
}
