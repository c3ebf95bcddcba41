import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { copyPackageTree } from "../copy-package-tree.ts";

test("a package's links, deep inside too, become what they lead to, and what no program reads stays behind", () => {
  const directory = mkdtempSync(join(tmpdir(), "package-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const source = join(directory, "package");
  const elsewhere = join(directory, "cache");
  for (const made of [join(source, "lib", "napi-v8"), join(source, ".bin"), join(elsewhere, "deps")]) {
    mkdirSync(made, { recursive: true });
  }
  for (const name of ["index.js", "index.js.map", "index.d.ts", "README.md"]) writeFileSync(join(source, name), name);
  writeFileSync(join(elsewhere, "addon.node"), "addon");
  writeFileSync(join(elsewhere, "deps", "library.so.2"), "library");
  symlinkSync(join(elsewhere, "addon.node"), join(source, "lib", "napi-v8", "addon.node"));
  symlinkSync(join(elsewhere, "deps"), join(source, "deps"));

  const target = join(directory, "image");
  copyPackageTree(source, target);
  rmSync(elsewhere, { recursive: true });
  const files = readdirSync(target, { recursive: true, encoding: "utf8" }).filter((name) =>
    lstatSync(join(target, name)).isFile(),
  );
  expect(files.sort()).toEqual(["deps/library.so.2", "index.js", "lib/napi-v8/addon.node"]);
  expect(readFileSync(join(target, "lib", "napi-v8", "addon.node"), "utf8")).toBe("addon");
});
