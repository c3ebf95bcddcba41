import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { linkNestedMounts, rewritePaths } from "./mounts.ts";

describe("rewritePaths", () => {
  const mounts = [
    { mountPath: "/trainingrun", hostPath: "/n1/scratch" },
    { mountPath: "/trainingrun/checkpoints", hostPath: "/claims/c/run-uid" },
    { mountPath: "/dev/termination-log", hostPath: "/n1/main/termination-log" },
    { mountPath: "/with.dot/", hostPath: "/n1/dot" },
  ];
  test.each([
    ["a mount path itself", "/trainingrun", "/n1/scratch"],
    ["a path below it", "/trainingrun/control/save", "/n1/scratch/control/save"],
    ["a path in a mount within a mount", "/trainingrun/checkpoints/log", "/claims/c/run-uid/log"],
    ["a path beside a mount within a mount", "/trainingrun/checkpoints-2", "/n1/scratch/checkpoints-2"],
    ["a mounted file", "/dev/termination-log", "/n1/main/termination-log"],
    ["paths inside a text", "--in=/trainingrun/a:/trainingrun/checkpoints", "--in=/n1/scratch/a:/claims/c/run-uid"],
    ["paths inside JSON", '{"at":"/trainingrun"}', '{"at":"/n1/scratch"}'],
    [
      "a path in a shell command",
      "cat /trainingrun/a>/dev/termination-log",
      "cat /n1/scratch/a>/n1/main/termination-log",
    ],
    ["a mount path that was given with a slash at its end", "/with.dot/x", "/n1/dot/x"],
    ["nothing in a longer name", "/trainingrun-2/x", "/trainingrun-2/x"],
    ["nothing in a name with an ending", "/trainingrun.old", "/trainingrun.old"],
    ["nothing in an address", "s3://bucket/trainingrun/x", "s3://bucket/trainingrun/x"],
    ["nothing in a path that only contains it", "/mnt/trainingrun", "/mnt/trainingrun"],
    ["nothing where a dot stands for any character", "/withadot/x", "/withadot/x"],
  ])("rewrites %s", (_, text, expected) => {
    expect(rewritePaths(text, mounts)).toBe(expected);
  });

  test("does not rewrite what it has just put there", () => {
    const swapped = [
      { mountPath: "/a", hostPath: "/b" },
      { mountPath: "/b", hostPath: "/a" },
    ];
    expect(rewritePaths("/a:/b", swapped)).toBe("/b:/a");
  });

  test("leaves everything alone where there are no mounts", () => {
    expect(rewritePaths("/a", [])).toBe("/a");
  });
});

describe("linkNestedMounts", () => {
  let directory: string;
  const mount = async (mountPath: string, name: string) => {
    const hostPath = join(directory, name);
    await mkdir(hostPath, { recursive: true });
    return { mountPath, hostPath };
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "mounts-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test("shows a mount inside another in the innermost that holds it", async () => {
    const mounts = [await mount("/a/b/c/d", "innermost"), await mount("/a", "outer"), await mount("/a/b", "inner")];
    await linkNestedMounts(mounts);
    await linkNestedMounts(mounts);
    await writeFile(join(directory, "innermost", "file"), "seen");
    expect(await readlink(join(directory, "outer", "b"))).toBe(join(directory, "inner"));
    expect(await readFile(join(directory, "outer", "b", "c", "d", "file"), "utf8")).toBe("seen");
  });

  test("leaves a name alone that the outer volume has already", async () => {
    const mounts = [await mount("/a", "outer"), await mount("/a/b", "inner")];
    await writeFile(join(directory, "outer", "b"), "mine");
    await linkNestedMounts(mounts);
    expect(await readFile(join(directory, "outer", "b"), "utf8")).toBe("mine");
  });
});
