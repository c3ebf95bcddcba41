import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildAgentOnce, Pod, removeAgent } from "./agent-process.ts";
import { progressAt } from "./sample.ts";
import { TrainerRole } from "./trainer-role.ts";

beforeAll(buildAgentOnce);
afterAll(removeAgent);

test("an agent that serves asks a trainer that stands still what it is doing, and tells the operator", async () => {
  await using pod = new Pod({ TRAININGRUN_STALL_SECONDS: "1" });
  const agent = pod.start("serve");
  await agent.until("serving", ({ phase }) => phase === "Serving");
  const trainer = new TrainerRole(pod.variables);
  trainer.write("progress.json", JSON.stringify(progressAt(7)));
  await expect.poll(() => readdirSync(join(pod.root, "control")), { timeout: 30_000 }).toContain("dump-request");
  trainer.write("dump", "at spin (train.mjs:3:1)\n");
  const { stall } = await agent.until("a stall", (state) => state.stall !== undefined);
  expect(stall).toEqual({ step: 7, seconds: expect.any(Number), expects: "Step", dump: "at spin (train.mjs:3:1)" });
  expect(pod.read("checkpoints/diagnostics/attempt-1-worker-0-step-7.txt")).toContain("at spin (train.mjs:3:1)");
  trainer.write("progress.json", JSON.stringify(progressAt(8)));
  await agent.until("the stall to be over", (state) => state.stall === undefined);
  expect(await agent.end("SIGTERM")).toBe(0);
});
