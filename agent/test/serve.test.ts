import { expect, test } from "vitest";
import { Pod } from "./agent-process.ts";
import { TrainerRole } from "./trainer-role.ts";

test("what the trainer commits is read back by the agent's process before it counts as verified", async () => {
  await using pod = new Pod();
  const trainer = new TrainerRole(pod.variables);
  const agent = pod.start("serve");
  const fresh = await agent.until("serving", ({ phase }) => phase === "Serving");
  expect(fresh).toMatchObject({ restored: { resume: null }, latestVerified: null, checkpoints: [], problems: [] });
  const saved = await trainer.save(10, [{ name: "loss", value: "0.5" }]);
  const state = await agent.until("step 10 verified", ({ latestVerified }) => latestVerified?.step === 10);
  expect(state.latestVerified).toMatchObject({
    digest: saved.manifest.digest,
    attempt: 1,
    bytes: saved.bytes,
    tiers: ["Volume"],
    metrics: [{ name: "loss", value: "0.5" }],
  });
  expect(state.checkpoints).toMatchObject([{ step: 10, verified: true }]);
});
