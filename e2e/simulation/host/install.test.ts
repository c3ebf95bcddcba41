import childProcess from "node:child_process";
import crypto, { randomBytes, randomUUID } from "node:crypto";
import fs, { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { installHost } from "./install.ts";
import { activeResources, leakedSince } from "./leaks.ts";
import { Stage } from "./test/stage.ts";

const host = installHost();
const rooms = ["operator", "agent", "checkpoint"];
const root = join(import.meta.dirname, "../../..");

describe("what a process is and draws", () => {
  /** All that a process can learn of itself, with a seed and a name. */
  function drawnBy(seed: number, name: string): Promise<unknown[]> {
    return new Stage({ seed }).playOne(
      async () => {
        return [randomUUID(), crypto.randomUUID(), randomBytes(5).toString("hex"), Math.random(), hostname()];
      },
      { hostname: name },
    );
  }

  test("follows from the seed", async () => {
    const drawn = await drawnBy(1, "node-a");
    expect(await drawnBy(1, "node-a")).toEqual(drawn);
    expect(new Set([...drawn, ...(await drawnBy(2, "node-b"))]).size).toBe(10);
  });

  test("is its own pid, which several containers share", async () => {
    expect(await new Stage().playOne(async () => process.pid)).toBe(1);
    expect(await new Stage().playOne(async () => process.pid, { pid: 7 })).toBe(7);
  });

  test("is what it says, kept and traced, but for the dead", async () => {
    const stage = new Stage();
    const one = stage.start("one", async (self) => {
      console.log("said %d", 1, { a: [2] });
      console.error("an error");
      process.stderr.write("a line\n");
      process.emitWarning("careful");
      self.kill("here");
      console.log("from the grave");
    });
    await stage.play();
    expect(one.output).toEqual(["said 1 { a: [ 2 ] }", "an error", "a line", "warning: careful"]);
  });
});

describe("what no model answers", () => {
  const calls: [path: string, call: () => unknown][] = [
    ["fs.readFileSync", () => readFileSync("/etc/hostname")],
    ["fs.promises.stat", () => stat("/")],
    ["fs.watch", () => fs.watch("/")],
    ["child_process.spawn", () => childProcess.spawn("true")],
    ["worker_threads.Worker", () => new Worker("", { eval: true })],
    ["globalThis.fetch", () => fetch("http://127.0.0.1:1")],
    ["globalThis.WebSocket", () => new WebSocket("ws://127.0.0.1:1")],
    ["globalThis.crypto.getRandomValues", () => crypto.getRandomValues(new Uint8Array(1))],
    ["process.exit", () => process.exit(3)],
    ["process.memoryUsage", () => process.memoryUsage()],
    ["crypto.randomBytes with a callback", () => crypto.randomBytes(4, () => {})],
    ["crypto.randomInt", () => crypto.randomInt(4)],
  ];
  test.each(calls)("spoils the play of who calls it, by name: %s", async (path, call) => {
    const stage = new Stage();
    stage.start("one", async () => {
      try {
        await call();
      } catch {
        // Code that handles the error must not hide it.
      }
    });
    await expect(stage.play()).rejects.toThrow(`Cannot call ${path} in one#0 because the host has no model of it`);
  });

  test("is there for the host's own code", async () => {
    expect(await readFile(join(root, "package.json"), "utf8")).toBe(readFileSync(join(root, "package.json"), "utf8"));
  });

  test("spoils the play where a module is read only then", async () => {
    const stage = new Stage();
    stage.start("one", async () => {
      const late = "data:text/javascript,export default 1";
      await import(/* @vite-ignore */ late).catch(() => undefined);
    });
    await expect(stage.play()).rejects.toThrow(/^Cannot call import of data:.* in one#0/);
  });

  const uncaught: [what: string, leave: () => void, message: string][] = [
    [
      "a rejection",
      () => void Promise.reject(new Error("lost")),
      "nobody handled a rejection in careless#0: Error: lost",
    ],
    ["an error of a microtask", () => queueMicrotask(fail), "nobody handled an error in careless#0: Error: lost"],
    ["an error of a tick", () => process.nextTick(fail), "nobody handled an error in careless#0: Error: lost"],
    [
      "an error of a stream",
      () => void new Readable().destroy(new Error("lost")),
      "nobody handled an error in careless#0: Error: lost",
    ],
    ["an error of a timer", () => void setTimeout(fail, 1), "careless#0 threw out of an event: Error: lost"],
  ];
  test.each(uncaught)(
    "spoils the play where nobody handles %s, by the process whose it is",
    async (_, leave, message) => {
      const stage = new Stage();
      stage.start("calm", () => pause(5));
      stage.start("careless", async () => {
        leave();
        await pause(5);
      });
      await expect(stage.play()).rejects.toThrow(`Cannot go on because ${message}`);
    },
  );

  function fail(): never {
    throw new Error("lost");
  }
});

describe("every builtin that the rooms use", () => {
  /** Builtins without time, randomness or outside in them, or of which only such parts are used. */
  const harmless = [
    "async_hooks",
    "path",
    "util",
    "stream",
    "buffer",
    "events",
    "url",
    "module",
    "zlib.crc32",
    "tls.rootCertificates",
  ];
  const harmlessNames = [
    "crypto.createHash",
    "http.Agent",
    "https.Agent",
    "https.default",
    "http.default",
    "fs.constants",
    "os.constants",
  ];
  /** Files that start a process of the real machine and are not played; what they do is done by the models. */
  const notPlayed = /operator\/src\/(main|kubernetes\/credentials)\.ts$/;

  test("is answered by the host or reaches nothing outside", () => {
    const unknown = rooms
      .flatMap((room) => sourceFiles(join(root, room, "src")))
      .filter((file) => !notPlayed.test(file))
      .flatMap((file) =>
        builtinsOf(readFileSync(file, "utf8")).map((used) => ({ file: file.slice(root.length + 1), used })),
      )
      .filter(({ used }) => !known(used));
    expect(unknown).toEqual([]);
  });

  function known(used: string): boolean {
    const [module = ""] = used.split(".");
    // Files are answered by the model of the disk, which the worker adds.
    const byFiles = /^fs(\.promises)?\./.test(used) && host.closed.includes(used);
    return (
      harmless.includes(module) ||
      harmless.includes(used) ||
      harmlessNames.includes(used) ||
      host.answered.includes(used) ||
      byFiles
    );
  }
});

describe("a leak of the real machine", () => {
  test("shows as what is held beyond what was held before", async () => {
    const before = activeResources();
    expect(leakedSince(before)).toEqual([]);
    const timer = setTimeout(() => {}, 60_000);
    expect(leakedSince(before)).toEqual(["Timeout"]);
    clearTimeout(timer);
    expect(leakedSince(before)).toEqual([]);
  });
});

function sourceFiles(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => join(directory, path));
}

/** What a file takes of Node's builtins, types left out: "fs.promises.open", "crypto.randomUUID". */
function builtinsOf(text: string): string[] {
  return [...text.matchAll(/^import\s+(?!type\b)(.*?)\s+from "node:([\w/]+)";$/gms)].flatMap(
    ([, names = "", module = ""]) => {
      const of = module === "fs/promises" ? "fs.promises" : module;
      const named = /\{([^}]*)\}/.exec(names)?.[1]?.split(",") ?? [];
      const taken = named.map((name) => name.trim()).filter((name) => name !== "" && !name.startsWith("type "));
      const whole = names.startsWith("{") ? [] : ["default"];
      return [...whole, ...taken.map((name) => name.split(" as ")[0] ?? name)].map((name) => `${of}.${name}`);
    },
  );
}
