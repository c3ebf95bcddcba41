import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { clusterDirectory, clusterId, refuseForeign, refuseHidden } from "./cluster-directory.ts";

const parent = realpathSync(mkdtempSync(join(tmpdir(), "trainingrun-directory-")));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

describe("a cluster's directory", () => {
  it("has one name, through whatever link it is reached", async () => {
    mkdirSync(join(parent, "real"));
    symlinkSync(join(parent, "real"), join(parent, "link"));
    expect(await clusterDirectory(join(parent, "link", "cluster"))).toBe(join(parent, "real", "cluster"));
    expect(await clusterDirectory(join(parent, "link"))).toBe(join(parent, "real"));
  });

  it("gives the cluster a short name of its own", () => {
    expect(clusterId("/a")).toMatch(/^[0-9a-f]{12}$/);
    expect(clusterId("/a")).not.toBe(clusterId("/b"));
  });

  it.each([
    { sentence: "may be empty", names: [], refused: false },
    { sentence: "may hold the half of a file that a killed start left", names: ["settings.json.new"], refused: false },
    { sentence: "may hold nothing else", names: ["settings.json.new", "thesis.tex"], refused: true },
  ])("$sentence", ({ sentence, names, refused }) => {
    const directory = join(parent, sentence);
    mkdirSync(directory);
    for (const name of names) writeFileSync(join(directory, name), "");
    const act = () => refuseForeign(directory);
    if (refused) expect(act).toThrow("it is not empty (thesis.tex)");
    else expect(act).not.toThrow();
  });

  it.each(["/var/lib/cluster", "/run", "/var/log/x"])("may not be %s, which container nodes do not see", (path) => {
    expect(() => refuseHidden(path)).toThrow("they have a /");
    expect(() => refuseHidden("/var/library")).not.toThrow();
  });
});
