import { describe, expect, test } from "vitest";
import type { Luck } from "../../../../checkpoint/test/power-loss/disk.ts";
import { cutPower, treeOf } from "./cut.ts";
import { Disk, type DiskOptions } from "./disk.ts";
import { DiskView } from "./disk-view.ts";
import { type DiskFault, damageFile } from "./faults.ts";
import { FileError } from "./file-error.ts";
import type { OpenMode } from "./open-file.ts";

/* Beyond what a differential test can ask of the machine's own file system: other kinds of disks, and disks that fail. */

const reading: OpenMode = { read: true, write: false };
const creating: OpenMode = { read: true, write: true, create: true };
const directly: OpenMode = { ...reading, direct: true };

describe("mounts", () => {
  const cases: { what: string; act: (view: DiskView) => unknown; answer: unknown }[] = [
    { what: "a rename between two disks", act: (view) => view.rename("/data/a", "/a"), answer: "EXDEV" },
    { what: "a link between two disks", act: (view) => view.link("/data/a", "/a"), answer: "EXDEV" },
    { what: "a rename of a mount point", act: (view) => view.rename("/data", "/other"), answer: "EBUSY" },
    { what: "a removal of a mount point", act: (view) => view.rmdir("/data"), answer: "EBUSY" },
    { what: "a write below a read-only mount", act: (view) => view.open("/secret/new", creating), answer: "EROFS" },
    { what: "a removal below a read-only mount", act: (view) => view.unlink("/secret/nothing"), answer: "EROFS" },
    { what: "a look below a read-only mount", act: (view) => view.readdir("/secret"), answer: [] },
    { what: "a link that leads to another disk", act: (view) => view.realpath("/link"), answer: "/data/a" },
    { what: "a link in the middle that leads to another disk", act: (view) => view.stat("/up/a").size, answer: 5 },
    {
      what: "what a mounted part of a disk has",
      act: (view) => view.readdir("/part"),
      answer: [{ name: "b", kind: "file" }],
    },
  ];

  test.each(cases)("$what is answered with $answer", ({ act, answer }) => {
    const { disk, view } = fresh();
    write(view, "/a", "words");
    view.mkdir("/runs");
    write(view, "/runs/b", "other");
    const mounts = [
      { path: "/", disk: new Disk({ device: 1, clock: () => 0 }) },
      { path: "/data", disk },
      { path: "/part", disk, below: "runs" },
      { path: "/secret", disk: new Disk({ device: 3, clock: () => 0 }), readOnly: true },
    ];
    const container = new DiskView({ node: "node-a", mounts });
    container.symlink("/data/a", "/link");
    container.symlink("data", "/up");
    expect(answerOf(() => act(container))).toEqual(answer);
  });

  test("two processes see each other's files at once, through their own paths", () => {
    const { disk, view } = fresh({ kind: "Network" });
    const other = new DiskView({
      node: "node-b",
      mounts: [
        { path: "/", disk: new Disk({ device: 1, clock: () => 0 }) },
        { path: "/shared", disk },
      ],
    });
    write(view, "/a", "words");
    expect(other.stat("/shared/a")).toEqual(view.stat("/a"));
    expect(read(other, "/shared/a")).toBe("words");
  });
});

describe("a file without a name", () => {
  test("lives on under its descriptors and keeps its room until the last is closed", () => {
    const { disk, view } = fresh();
    write(view, "/a", "words");
    const free = disk.space.bavail;
    const file = view.open("/a", reading);
    view.unlink("/a");
    const target = new Uint8Array(5);
    expect([file.read(target, 0), disk.space.bavail]).toEqual([5, free]);
    view.close(file);
    expect(disk.space.bavail).toBe(free + 1);
  });

  test("is let go of when its process dies", () => {
    const { disk, view } = fresh();
    const free = disk.space.bavail;
    write(view, "/a", "words");
    view.open("/a", reading);
    view.unlink("/a");
    view.end();
    expect(disk.space.bavail).toBe(free);
  });

  test.each([
    ["Local", "node-b", "words"],
    ["Network", "node-a", "words"],
    ["Network", "node-b", "ESTALE"],
  ] as const)("on a %s disk, removed by %s, reads as %s", (kind, remover, answer) => {
    const { disk, view } = fresh({ kind });
    write(view, "/a", "words");
    const file = view.open("/a", reading);
    new DiskView({ node: remover, mounts: [{ path: "/", disk }] }).unlink("/a");
    expect(answerOf(() => textOf(file))).toBe(answer);
  });
});

describe("room", () => {
  test("writes what fits, then refuses, and takes again what was removed", () => {
    const { disk, view } = fresh({ room: { bytes: 4 * 4096, inodes: 10 } });
    expect(disk.space).toEqual({ bsize: 4096, blocks: 4, bavail: 3 });
    const file = view.open("/a", creating);
    expect(file.write(new Uint8Array(5 * 4096), 0)).toBe(3 * 4096);
    expect(answerOf(() => file.write(new Uint8Array(1), 3 * 4096))).toBe("ENOSPC");
    expect(answerOf(() => view.mkdir("/d"))).toBe("ENOSPC");
    expect(answerOf(() => file.truncate(5 * 4096))).toBe("ENOSPC");
    view.unlink("/a");
    view.close(file);
    view.mkdir("/d");
    view.rmdir("/d");
    expect(disk.space.bavail).toBe(3);
  });

  test("ends with the inodes as well, and says so as a quota does where it is one", () => {
    const { view } = fresh({ room: { bytes: 2 ** 20, inodes: 3, beyond: "EDQUOT" } });
    write(view, "/a", "");
    view.symlink("a", "/b");
    for (const act of [() => view.mkdir("/d"), () => view.symlink("a", "/c"), () => view.open("/c", creating)]) {
      expect(answerOf(act)).toBe("EDQUOT");
    }
    view.link("/a", "/c");
    view.rename("/c", "/d");
    for (const name of ["/a", "/b", "/d"]) view.unlink(name);
    view.mkdir("/d");
    view.mkdir("/e");
  });
});

describe("a sync that fails", () => {
  test("drops the pages: the next says that all is well, readers see the bytes, and the device has none of them", () => {
    const { disk, view } = fresh();
    write(view, "/a", "older", { sync: true });
    syncRoot(view);
    const file = view.open("/a", creating);
    file.write(bytes("newer"), 0);
    disk.faults.add({ fails: "EIO", calls: ["fsync"], times: 1 });
    expect(answerOf(() => file.sync())).toBe("EIO");
    expect(answerOf(() => file.sync())).toBe(undefined);
    expect(read(view, "/a")).toBe("newer");
    const target = new Uint8Array(512);
    view.open("/a", directly).read(target, 0);
    expect(text(target.subarray(0, 5))).toBe("older");
    cutPower(disk, nothingKept);
    expect(treeOf(disk)).toEqual(new Map([["a", bytes("older")]]));
  });
});

describe("direct access", () => {
  test.each([
    [0, 512, 5],
    [512, 512, 0],
    [3, 512, "EINVAL"],
    [0, 500, "EINVAL"],
  ])("at %i for %i bytes answers %s", (position, length, answer) => {
    const { view } = fresh();
    write(view, "/a", "words");
    const file = view.open("/a", directly);
    expect(answerOf(() => file.read(new Uint8Array(length), position))).toBe(answer);
  });

  test("is refused at opening where the disk does not take it", () => {
    const { view } = fresh({ takesDirect: false });
    write(view, "/a", "words");
    expect(answerOf(() => view.open("/a", directly))).toBe("EINVAL");
  });
});

describe("a disk that has not everything", () => {
  test.each<[string, DiskOptions["has"], (view: DiskView) => unknown]>([
    ["hard links", { hardLinks: false }, (view) => view.link("/a", "/b")],
    ["symbolic links", { symbolicLinks: false }, (view) => view.symlink("a", "/b")],
    ["modes", { modes: false }, (view) => view.chmod("/a")],
    ["modes of open files", { modes: false }, (view) => view.open("/a", reading).chmod()],
  ])("answers EPERM where it has no %s", (_, has, act) => {
    const { view } = fresh({ has: has ?? {} });
    write(view, "/a", "words");
    expect(answerOf(() => act(view))).toBe("EPERM");
  });
});

describe("faults", () => {
  const cases: { what: string; fault: DiskFault; answers: readonly unknown[] }[] = [
    { what: "an error for everything", fault: { fails: "EIO" }, answers: ["EIO", "EIO", "EIO", "EIO"] },
    { what: "a stale mount", fault: { fails: "ESTALE" }, answers: ["ESTALE", "ESTALE", "ESTALE", "ESTALE"] },
    { what: "a disk that is read-only now", fault: { fails: "EROFS" }, answers: ["words", "EROFS", "EROFS", "ENOENT"] },
    { what: "a full disk", fault: { fails: "ENOSPC" }, answers: ["words", "ENOSPC", undefined, "ENOENT"] },
    { what: "a path", fault: { fails: "EIO", path: "new" }, answers: ["words", "EIO", undefined, "ENOENT"] },
    {
      what: "one kind of call",
      fault: { fails: "EIO", calls: ["unlink"] },
      answers: ["words", undefined, "EIO", "ENOENT"],
    },
    {
      what: "another node",
      fault: { fails: "EIO", node: "node-b" },
      answers: ["words", undefined, undefined, "ENOENT"],
    },
    {
      what: "the second call only",
      fault: { fails: "EIO", calls: ["open"], after: 1, times: 1 },
      answers: ["words", "EIO", undefined, "ENOENT"],
    },
  ];

  test.each(cases)("$what: $answers", ({ fault, answers }) => {
    const { disk, view } = fresh();
    write(view, "/a", "words");
    const standing = disk.faults.add(fault);
    const acts = [
      () => read(view, "/a"),
      () => void view.open("/new", creating),
      () => view.unlink("/a"),
      () => view.lstat("/nothing"),
    ];
    expect(acts.map(answerOf)).toEqual(answers);
    expect(standing.fired > 0).toBe(answers.some((answer) => answer === ("fails" in fault && fault.fails)));
    standing.lift();
    expect(answerOf(() => view.lstat("/nothing"))).toBe("ENOENT");
  });

  test("slow calls add up", () => {
    const { disk, view } = fresh();
    disk.faults.add({ slowMs: 30, calls: ["fsync"] });
    disk.faults.add({ slowMs: 500, path: "a" });
    expect([view.slowness("fsync", "/a"), view.slowness("fsync", "/b"), view.slowness("read", "/b")]).toEqual([
      530, 30, 0,
    ]);
  });
});

describe("damage", () => {
  test.each([
    ["kept", "FlipBit", "words", "wnrds"],
    ["evicted", "FlipBit", "wnrds", "wnrds"],
    ["kept", "ZeroTail", "words", "wor\0\0"],
    ["evicted", "ZeroTail", "wor\0\0", "wor\0\0"],
    ["kept", "CutTail", "words", "wor\0\0"],
    ["evicted", "CutTail", "wor", "wor"],
  ] as const)("with the cache %s, %s leaves %j for readers and %j on the device", (cache, kind, cached, onDevice) => {
    const { disk, view } = fresh();
    write(view, "/a", "words", { sync: true });
    const file = disk.root.seen.get("a");
    if (file?.kind !== "file") throw new Error("Cannot damage a because it is no file");
    damageFile(file, kind === "FlipBit" ? { kind, bit: 8 } : { kind, bytes: 2 }, { cache });
    const target = new Uint8Array(512);
    const length = view.open("/a", directly).read(target, 0);
    expect([read(view, "/a"), text(target.subarray(0, length))]).toEqual([cached, onDevice]);
  });
});

describe("who watches a directory", () => {
  test("is told what its own node changes, by name, and nothing once it has stopped", () => {
    const { disk, view } = fresh({ kind: "Network" });
    const told: string[] = [];
    const stop = view.watch("/", (event, name) => told.push(`${event} ${name}`));
    write(view, "/a", "words");
    view.rename("/a", "/b");
    new DiskView({ node: "node-b", mounts: [{ path: "/", disk }] }).unlink("/b");
    disk.faults.add({ silences: true, path: "quiet" });
    write(view, "/quiet", "words");
    stop();
    view.unlink("/quiet");
    expect(told).toEqual(["rename a", "change a", "rename a", "rename b"]);
  });

  test("gets nothing for a directory that is not there", () => {
    expect(answerOf(() => fresh().view.watch("/nothing", () => {}))).toBe("ENOENT");
  });
});

describe("times", () => {
  test("are those of the disk's own clock, of the last change", () => {
    let now = 1000;
    const disk = new Disk({ device: 7, clock: () => now });
    const view = new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] });
    write(view, "/a", "words");
    now = 2000;
    view.mkdir("/d");
    now = 3000;
    view.rename("/a", "/d/a");
    expect([view.stat("/d/a").mtimeMs, view.stat("/d").mtimeMs, view.stat("/").mtimeMs]).toEqual([1000, 3000, 3000]);
  });
});

function fresh(options: Partial<DiskOptions> = {}): { disk: Disk; view: DiskView } {
  const disk = new Disk({ device: 7, clock: () => 0, ...options });
  return { disk, view: new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }) };
}

function answerOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof FileError) return error.named;
    throw error;
  }
}

function write(view: DiskView, path: string, words: string, { sync = false } = {}): void {
  const file = view.open(path, creating);
  file.write(bytes(words), 0);
  if (sync) file.sync();
  view.close(file);
}

function read(view: DiskView, path: string): string {
  const file = view.open(path, reading);
  try {
    return textOf(file);
  } finally {
    view.close(file);
  }
}

function textOf(file: ReturnType<DiskView["open"]>): string {
  const target = new Uint8Array(file.stat().size);
  file.read(target, 0);
  return text(target);
}

function syncRoot(view: DiskView): void {
  const root = view.open("/", { ...reading, directory: true });
  root.sync();
  view.close(root);
}

const nothingKept: Luck = { keepsName: () => false, keepsSectors: () => ({ kept: [], length: false }) };

function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words);
}

function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}
