import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Change } from "../../../../checkpoint/test/power-loss/changes.ts";
import { type Luck, ModelDisk } from "../../../../checkpoint/test/power-loss/disk.ts";
import { cutPower, type DiskTree, treeOf } from "./cut.ts";
import { Disk } from "./disk.ts";
import { DiskView } from "./disk-view.ts";

/*
 * What a power cut may leave is said once, by the disk of the power-loss tests, to which recorded system calls are played.
 * This disk must leave the same where it is asked the same and has the same luck.
 */

describe("a power cut", () => {
  test("leaves what the disk of the power-loss tests leaves, after any history that both can play", () => {
    let different = 0;
    fc.assert(
      fc.property(fc.array(aWish(), { maxLength: 60 }), fc.infiniteStream(fc.boolean()), (wishes, answers) => {
        const { disk, changes } = play(wishes);
        const model = new ModelDisk(new Map());
        for (const change of changes) model.play(change);
        expect(treeOf(disk)).toEqual(model.seen());
        const drawn = [...answers.take(4000)];
        const seen = treeOf(disk);
        const left = model.cut(luckOf(drawn));
        cutPower(disk, luckOf(drawn));
        expect(treeOf(disk)).toEqual(left);
        if (!sameTree(seen, left)) different += 1;
      }),
      { numRuns: 800, seed: 3 },
    );
    expect(different).toBeGreaterThan(200);
  });

  test("takes nothing that was synced, and is there for good", () => {
    const { disk, view } = fresh();
    write(view, "/kept", "words", { sync: true });
    write(view, "/lost", "more");
    const directory = view.open("/", { read: true, write: false });
    directory.sync();
    write(view, "/kept", "other");
    cutPower(disk, luckOf([]));
    expect(treeOf(disk)).toEqual(
      new Map([
        ["kept", bytes("words")],
        ["lost", bytes("")],
      ]),
    );
    cutPower(disk, luckOf([]));
    expect(treeOf(disk).size).toBe(2);
  });

  test("keeps two names of one file one file, and links", () => {
    const { disk, view } = fresh();
    write(view, "/a", "words");
    view.link("/a", "/b");
    view.symlink("a", "/c");
    disk.writeBack();
    cutPower(disk, luckOf([]));
    expect(view.lstat("/a").ino).toBe(view.lstat("/b").ino);
    expect(view.readlink("/c")).toBe("a");
    view.unlink("/a");
    expect(treeOf(disk)).toEqual(
      new Map<string, unknown>([
        ["b", bytes("words")],
        ["c", { target: "a" }],
      ]),
    );
  });

  test("gives back the room of what it took", () => {
    const { disk, view } = fresh();
    const before = disk.space.bavail;
    write(view, "/a", "words");
    expect(disk.space.bavail).toBe(before - 1);
    cutPower(disk, luckOf([]));
    expect(disk.space.bavail).toBe(before);
  });
});

type Wish = Readonly<{
  what: "mkdir" | "write" | "resize" | "sync" | "syncDirectory" | "link" | "unlink" | "rmdir" | "rename";
  from: string;
  to: string;
  size: number;
}>;

function aWish(): fc.Arbitrary<Wish> {
  const path = fc.constantFrom("a", "b", "c", "d/a", "d/b", "e/a", "e/b", "d/f/a", "d", "e", "d/f");
  return fc.record({
    what: fc.constantFrom(
      ...(["mkdir", "write", "write", "write", "resize", "sync", "sync", "syncDirectory", "link", "unlink"] as const),
      ...(["rmdir", "rename", "rename"] as const),
    ),
    from: path,
    to: path,
    size: fc.constantFrom(0, 1, 511, 512, 700, 1600),
  });
}

/** Does what can be done of the wishes, and writes down the changes as the power-loss tests know them. */
function play(wishes: readonly Wish[]): { disk: Disk; changes: Change[] } {
  const { disk, view } = fresh();
  const changes: Change[] = [];
  for (const path of ["d", "e"]) {
    view.mkdir(`/${path}`);
    changes.push({ kind: "create", path, what: "directory" });
  }
  for (const wish of wishes) {
    try {
      changes.push(...fulfil(view, wish));
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }
  return { disk, changes };
}

function fulfil(view: DiskView, { what, from: path, to, size }: Wish): Change[] {
  const absolute = `/${path}`;
  switch (what) {
    case "mkdir":
      view.mkdir(absolute);
      return [{ kind: "create", path, what: "directory" }];
    case "rmdir":
      view.rmdir(absolute);
      return [{ kind: "unlink", path }];
    case "unlink":
      view.unlink(absolute);
      return [{ kind: "unlink", path }];
    case "link":
      view.link(absolute, `/${to}`);
      return [{ kind: "link", from: path, to }];
    case "rename": {
      const isDirectory = view.lstat(absolute).kind === "directory";
      // Of a directory that moves between two the other disk has no whole account, nor does the product do it.
      if (isDirectory && parentOf(path) !== parentOf(to)) return [];
      const same = exists(view, to) && view.lstat(absolute).ino === view.lstat(`/${to}`).ino;
      view.rename(absolute, `/${to}`);
      return same ? [] : [{ kind: "rename", from: path, to }];
    }
    case "syncDirectory": {
      const directory = parentOf(path);
      const opened = view.open(`/${directory}`, { read: true, write: false, directory: true });
      opened.sync();
      return [{ kind: "sync", path: directory }];
    }
    default:
      return fulfilOnFile(view, { what, path, size });
  }
}

function fulfilOnFile(
  view: DiskView,
  { what, path, size }: { what: "write" | "resize" | "sync"; path: string; size: number },
): Change[] {
  const isNew = !exists(view, path);
  const file = view.open(`/${path}`, { read: true, write: true, create: what === "write" });
  try {
    const created: Change[] = isNew ? [{ kind: "create", path, what: "file" }] : [];
    switch (what) {
      case "write": {
        const piece = new Uint8Array(size).fill(path.length + size);
        file.write(piece, size);
        return [...created, { kind: "write", path, offset: size, bytes: piece }];
      }
      case "resize":
        if (file.stat().size === size) return [];
        file.truncate(size);
        return [{ kind: "resize", path, bytes: size }];
      case "sync":
        file.sync();
        return [{ kind: "sync", path }];
      default:
        return what satisfies never;
    }
  } finally {
    view.close(file);
  }
}

function fresh(): { disk: Disk; view: DiskView } {
  const disk = new Disk({ device: 7, clock: () => 0 });
  return { disk, view: new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }) };
}

function write(view: DiskView, path: string, text: string, { sync = false } = {}): void {
  const file = view.open(path, { read: false, write: true, create: true });
  file.write(bytes(text), 0);
  if (sync) file.sync();
  view.close(file);
}

/** Answers one question after the other; where the answers have ended, nothing is kept. */
function luckOf(answers: readonly boolean[]): Luck {
  let asked = 0;
  const next = () => {
    asked += 1;
    return answers[asked - 1] ?? false;
  };
  return {
    keepsName: next,
    keepsSectors: (count) => ({ kept: Array.from({ length: count }, next), length: next() }),
  };
}

function sameTree(one: DiskTree, other: DiskTree): boolean {
  const text = (tree: DiskTree) => [...tree].map(([path, content]) => `${path} ${String(content)}`).sort();
  return text(one).join() === text(other).join();
}

function exists(view: DiskView, path: string): boolean {
  try {
    view.lstat(`/${path}`);
    return true;
  } catch {
    return false;
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
