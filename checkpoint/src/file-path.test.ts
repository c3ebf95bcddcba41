import { describe, expect, test } from "vitest";
import { brokenPathRule, brokenPathsRule } from "./file-path.ts";

describe("names of a checkpoint's files", () => {
  test.each(["model.safetensors", "a/b/c.json", "..a", "a..", "Käse.bin", "-", "a b"])("%s may be used", (path) => {
    expect(brokenPathRule(path)).toBeNull();
  });

  test.each([
    { path: "", rule: "a name must not be empty" },
    { path: "/etc/passwd", rule: "a name must be relative, without . or .. in it" },
    { path: "../up", rule: "a name must be relative, without . or .. in it" },
    { path: "a/../../up", rule: "a name must be relative, without . or .. in it" },
    { path: "a/./b", rule: "a name must be relative, without . or .. in it" },
    { path: "a//b", rule: "a name must be relative, without . or .. in it" },
    { path: "a/", rule: "a name must be relative, without . or .. in it" },
    { path: "a\\b", rule: "a name must hold no backslash" },
    { path: "a\0b", rule: "a name must hold no control character" },
    { path: "a\nb", rule: "a name must hold no control character" },
    { path: "Ka\u0308se", rule: "a name must be in Unicode normal form C" },
    { path: "\ud800", rule: "a name must be well-formed Unicode" },
    { path: "MANIFEST.json", rule: "MANIFEST.json is the protocol's own" },
    { path: "MANIFEST.json/a", rule: "MANIFEST.json is the protocol's own" },
    { path: "MANIFEST.json.tmp", rule: "MANIFEST.json.tmp is the protocol's own" },
    { path: "a".repeat(256), rule: "a segment has at most 255 bytes" },
    { path: "aa/".repeat(200), rule: "a name has at most 512 bytes" },
  ])("$path may not: $rule", ({ path, rule }) => {
    expect(brokenPathRule(path)).toBe(rule);
  });

  test.each([
    { paths: ["a", "b", "a/b".replace("a/", "c/")], rule: null },
    { paths: ["a", "a"], rule: "a name may appear once" },
    { paths: ["a/b", "a"], rule: "a name must not be both a file and a directory" },
    { paths: ["a/b/c", "a/b"], rule: "a name must not be both a file and a directory" },
  ])("$paths together: $rule", ({ paths, rule }) => {
    expect(brokenPathsRule(paths)).toBe(rule);
  });
});
