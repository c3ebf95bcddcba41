import * as fs from "node:fs";
import * as files from "node:fs/promises";
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { describe, expect, test } from "vitest";
import { Disk } from "../model/disk/disk.ts";
import { DiskView } from "../model/disk/disk-view.ts";
import { type ErrorCode, FileError } from "../model/disk/file-error.ts";
import { fileReplacements } from "./files.ts";
import { type FileWitness, giveFiles } from "./files-access.ts";
import { installHost } from "./install.ts";
import { SimProcess } from "./process.ts";
import { Scheduler } from "./scheduler.ts";

installHost({ models: fileReplacements() });

describe("a process that reaches its files", () => {
  test("has files of its own, while the host's code goes on with the real ones", async () => {
    const { outcome } = await run(async () => {
      await files.writeFile("/words", "mine");
      return files.readFile("/words", "utf8");
    });
    expect(outcome).toBe("mine");
    expect(fs.existsSync("/words")).toBe(false);
  });

  test.each(["before", "after"] as const)(
    "dies %s the effect of a call, and waits for its answer for ever",
    async (phase) => {
      let answered = false;
      const { outcome, disk } = await run(
        async () => {
          await files.mkdir("/a").finally(() => {
            answered = true;
          });
        },
        (process) =>
          (at, { call }) => {
            if (at === phase && call === "mkdir") process.kill("for the test");
          },
      );
      expect([outcome, answered, disk.root.seen.has("a")]).toEqual(["for the test", false, phase === "after"]);
    },
  );

  test("changes nothing by synchronous calls once it is dead", async () => {
    const { outcome, disk } = await run(
      async () => {
        const file = fs.openSync("/log", "w", 0o644);
        fs.writeSync(file, Buffer.from("words"), 0, 5, 0);
        fs.closeSync(file);
        fs.openSync("/other", "w", 0o644);
      },
      (process) =>
        (at, { call }) => {
          if (at === "before" && call === "write") process.kill("for the test");
        },
    );
    expect([outcome, [...disk.root.seen.keys()]]).toEqual(["for the test", ["log"]]);
  });

  test("lets go of what it had open when it ends", async () => {
    const { disk } = await run(async () => {
      await files.open("/a", "wx", 0o640);
      await files.unlink("/a");
    });
    expect(disk.space.bavail).toBe(new Disk({ device: 7, clock: () => 0 }).space.bavail);
  });

  test("leaves an empty file where it dies while it writes one", async () => {
    const { disk } = await run(
      () => files.writeFile("/a", "words"),
      (process) =>
        (at, { call }) => {
          if (at === "before" && call === "write") process.kill("for the test");
        },
    );
    const file = disk.root.seen.get("a");
    expect(file?.kind === "file" && file.content.size).toBe(0);
  });

  test("waits for a slow disk in virtual time", async () => {
    const { outcome } = await run(async (process, disk) => {
      disk.faults.add({ slowMs: 5000, calls: ["fsync"] });
      disk.faults.add({ slowMs: 200, calls: ["mkdir"] });
      await files.mkdir("/d");
      await using file = await files.open("/a", "wx", 0o640);
      await file.sync();
      return process.scheduler.now;
    });
    expect(outcome).toBe(5200);
  });

  test("is told of changes by an event of its own, and not once it has closed the watch", async () => {
    const { outcome } = await run(async (process) => {
      const told: string[] = [];
      const watcher = fs.watch("/", { persistent: false }, (event, name) => told.push(`${event} ${name}`));
      watcher.on("error", () => {});
      await files.writeFile("/a", "");
      const atOnce = told.length;
      await process.later(1);
      await files.mkdir("/b");
      watcher.close();
      await process.later(1);
      return [atOnce, ...told].join();
    });
    expect(outcome).toBe("0,rename a");
  });
});

describe("what the model of files does not know", () => {
  const unknown: [string, () => unknown][] = [
    ["Stats.mode", async () => (await files.stat("/")).mode],
    [
      "Dirent.parentPath",
      async () => {
        await files.mkdir("/a");
        return (await files.readdir("/", { withFileTypes: true })).map((one) => one.parentPath);
      },
    ],
    ["StatFs.files", async () => (await files.statfs("/")).files],
    ["FileHandle.truncate", async () => (await files.open("/", "r")).truncate(0)],
    ["fs.promises.lstat with bigint", () => files.lstat("/", { bigint: true })],
    ["fs.promises.readdir with encoding", () => files.readdir("/", { encoding: "buffer" })],
    ["fs.promises.rm with maxRetries", () => files.rm("/a", { maxRetries: 3 })],
    ["fs.promises.readFile of anything but utf8", () => files.readFile("/a")],
    ["fs.promises.writeFile of anything but a text", () => files.writeFile("/a", new Uint8Array(1))],
    ["open with the flags as+", () => files.open("/a", "as+")],
    ["lstat of here", () => files.lstat("here")],
  ];

  test.each(unknown)("spoils the play by its name: %s", async (name, ask) => {
    await expect(run(async () => void (await ask()))).rejects.toThrow(`Cannot call ${name} in player#0`);
  });

  test("is not asked about where the options are those that product code passes", async () => {
    const { outcome } = await run(async () => {
      await files.mkdir("/a/b", { recursive: true, mode: 0o2770 });
      await files.rm("/a", { recursive: true, force: true });
      return (await files.readdir("/", { withFileTypes: true })).length;
    });
    expect(outcome).toBe(0);
  });
});

describe("the errors of the model", () => {
  const everyCode: Record<ErrorCode, true> = {
    ...{ EPERM: true, ENOENT: true, EIO: true, EBADF: true, EBUSY: true, EEXIST: true, EXDEV: true, ENOTDIR: true },
    ...{ EISDIR: true, EINVAL: true, ENOSPC: true, EROFS: true, ENAMETOOLONG: true, ENOTEMPTY: true, ELOOP: true },
    ...{ ENOTSUP: true, EBADMSG: true, ESTALE: true, EUCLEAN: true, EDQUOT: true },
  };
  const numbers = new Map<string, number>([...Object.entries(constants.errno), ["EUCLEAN", 117]]);

  test.each(Object.keys(everyCode) as ErrorCode[])("tell %s with the number and the words that Node has", (name) => {
    const errno = -(numbers.get(name) ?? 0);
    // What libuv does not know, Node tells by its number alone.
    const unknown = `Unknown system error ${errno}`;
    const [code, words] = getSystemErrorMap().get(errno) ?? [unknown, unknown];
    const error = new FileError(name, { call: "open", path: "/a" });
    expect({ ...error }).toEqual({ errno, code, syscall: "open", path: "/a" });
    expect(error.message).toBe(`${code}: ${words}, open '/a'`);
  });
});

/** Runs a program in a process with an empty disk until nothing is left to do. */
async function run(
  program: (process: SimProcess, disk: Disk) => Promise<unknown>,
  witness: (process: SimProcess) => FileWitness = () => () => {},
) {
  const scheduler = new Scheduler({ seed: 1 });
  const disk = new Disk({ device: 7, clock: () => scheduler.now });
  const process = new SimProcess(scheduler, { name: "player" });
  giveFiles(process, new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }), witness(process));
  let outcome: unknown;
  process.atEnd((ending) => {
    outcome = ending.kind === "returned" ? ending.value : ending.kind === "threw" ? ending.error : ending.why;
  });
  process.start(() => program(process, disk));
  while (await scheduler.step());
  return { outcome, disk };
}
