import childProcess from "node:child_process";
import dgram from "node:dgram";
import dns from "node:dns";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import net from "node:net";
import tls from "node:tls";
import workerThreads from "node:worker_threads";
import zlib from "node:zlib";
import { identityReplacements } from "./identity.ts";
import { outputReplacements } from "./output.ts";
import { presentProcess, runOutside } from "./process.ts";
import { closing, functionsOf, type Replacement, refuse } from "./replacement.ts";
import { SimulationError } from "./scheduler.ts";
import { socketReplacements } from "./sockets.ts";
import { timeReplacements } from "./time.ts";

/** What was put in the place of Node's own, by its paths. */
export type InstalledHost = Readonly<{
  /** Answered by a model. */
  answered: readonly string[];
  /** Refused: a process that calls one of them spoils the play. */
  closed: readonly string[];
}>;

/**
 * Makes this Node a simulated host, for good: call it once, before any code that will be played is loaded, and with all
 * models. Code outside of simulated processes goes on with the real functions.
 */
export function installHost({ models = [] }: { models?: readonly Replacement[] } = {}): InstalledHost {
  const answers = [
    ...timeReplacements(),
    ...identityReplacements(),
    ...outputReplacements(),
    ...socketReplacements(),
    ...models,
  ];
  const known = new Set(answers.map(({ path }) => path));
  const all = [...answers, ...outside().filter(({ path }) => !known.has(path))];
  for (const replacement of all) replacement.apply();
  syncBuiltinESMExports();
  refuseLateLoading();
  blameUncaughtErrors();
  const paths = (refuses: boolean) => all.filter((one) => (one.refuses === true) === refuses).map(({ path }) => path);
  return { answered: paths(false), closed: paths(true) };
}

/** Every function of Node that reaches outside of the process: what no model answers is closed. */
function outside(): Replacement[] {
  const whole: readonly [of: string, owner: object][] = [
    ["fs", fs],
    ["fs.promises", fs.promises],
    ["child_process", childProcess],
    ["dns", dns],
    ["dns.promises", dns.promises],
  ];
  const named: readonly [of: string, owner: object, names: readonly string[]][] = [
    ["globalThis", globalThis, ["fetch", "WebSocket", "MessageChannel", "BroadcastChannel"]],
    ["worker_threads", workerThreads, ["Worker", "MessageChannel", "BroadcastChannel"]],
    ["net", net, ["connect", "createConnection", "createServer"]],
    ["tls", tls, ["connect", "createServer"]],
    ["dgram", dgram, ["createSocket"]],
    ["http", http, ["createServer", "request", "get"]],
    ["https", https, ["createServer", "request", "get"]],
    ["http2", http2, ["connect", "createServer", "createSecureServer"]],
    ["zlib", zlib, functionsOf(zlib).filter((name) => !/Sync$|^create|^crc32$/.test(name))],
  ];
  return [
    ...whole.flatMap(([of, owner]) => closing(owner, { of, names: functionsOf(owner) })),
    ...named.flatMap(([of, owner, names]) => closing(owner, { of, names })),
  ];
}

/** A module read while a process runs would come at a moment of the real machine's. Loaded ones come at once. */
function refuseLateLoading(): void {
  registerHooks({
    // The loader asks the file system what a name leads to, which is not the process's affair.
    resolve: (specifier, context, nextResolve) => runOutside(() => nextResolve(specifier, context)),
    load(url, context, nextLoad) {
      if (presentProcess() !== undefined) refuse(`import of ${url}, which was not loaded before the play,`);
      return nextLoad(url, context);
    },
  });
}

/** What would end the process in life is a defect in a play, to be shown with the process whose it is. */
function blameUncaughtErrors(): void {
  const blame = (what: string) => (error: unknown) => {
    const thrower = presentProcess();
    if (thrower === undefined) throw error;
    if (thrower.state === "dead") return;
    const message = `Cannot go on because nobody handled ${what} in ${thrower.key}: ${String(error)}`;
    thrower.scheduler.spoil(thrower, new SimulationError(message, { cause: error }));
  };
  process.on("unhandledRejection", blame("a rejection"));
  process.setUncaughtExceptionCaptureCallback(blame("an error"));
}
