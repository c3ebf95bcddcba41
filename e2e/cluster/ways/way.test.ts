import { afterEach, describe, expect, it, vi } from "vitest";
import { chooseWay } from "./way.ts";

describe("the way to a cluster", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("is the one that was asked for, whatever else is there", async () => {
    vi.stubEnv("KUBECONFIG", "/home/someone/config");
    expect(await chooseWay({ way: "processes", context: "production" })).toEqual({
      way: "processes",
      reason: "process nodes on this machine, as asked for",
    });
  });

  it("is the user's own cluster when a context is given", async () => {
    expect(await chooseWay({ context: "lab" })).toEqual({ way: "given", reason: "the given context lab" });
  });

  it("is the user's own cluster when KUBECONFIG is set", async () => {
    vi.stubEnv("KUBECONFIG", "/home/someone/config");
    expect(await chooseWay({})).toEqual({ way: "given", reason: "KUBECONFIG is /home/someone/config" });
  });
});
