import { describe, expect, it } from "vitest";
import { debianPackages, lostParts, missingFor, missingPackages } from "./debian-packages.ts";

describe("Debian's packages", () => {
  it("are all missing on a machine that has none of their files", () => {
    expect(missingPackages(() => false)).toEqual(debianPackages);
  });

  it("are not missing where another package brings the same program", () => {
    const missing = missingPackages((path) => path === "/usr/local/bin/containerd").map(({ name }) => name);
    expect(missing).toHaveLength(debianPackages.length - 1);
    expect(missing).not.toContain("containerd");
  });

  it.each([
    { sentence: "of the parts that are needed", needed: ["cluster"], names: ["openssl"] },
    {
      sentence: "but what the images can do without",
      needed: ["images"],
      names: ["buildah", "mmdebstrap", "busybox-static"],
    },
    { sentence: "of no part when none is needed", needed: [], names: [] },
  ] as const)("are asked for by name: those $sentence", ({ needed, names }) => {
    expect(missingFor(needed, () => false)).toEqual(names);
    expect(missingFor(needed, () => true)).toEqual([]);
  });

  it("are named with what cannot be done without them", () => {
    const missing = debianPackages.filter(({ name }) => ["strace", "buildah", "mmdebstrap"].includes(name));
    expect(lostParts(missing)).toEqual([
      "images built without Docker: needs buildah, mmdebstrap",
      "tests that kill a save at every system call: needs strace",
    ]);
  });
});
