import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { endProcess, identify, isAlive, signalIfAlive } from "./process-identity.ts";

function sleeper() {
  const child = spawn("sleep", ["600"]);
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error("Cannot test: sleep did not start");
  return { child, identity };
}

describe("a process's identity", () => {
  it("is gone when the process is", async () => {
    const { child, identity } = sleeper();
    expect(isAlive(identity)).toBe(true);
    await endProcess(identity, 5_000);
    expect([isAlive(identity), child.signalCode ?? "SIGTERM"]).toEqual([false, "SIGTERM"]);
  });

  it("does not let another process be ended that has the pid now", async () => {
    const { child, identity } = sleeper();
    const former = { ...identity, startTime: `${identity.startTime}0` };
    signalIfAlive(former, "SIGKILL");
    await endProcess(former, 10);
    expect(isAlive(identity)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});
