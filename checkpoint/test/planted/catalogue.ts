import { join } from "node:path";
import { scenarioNamed } from "../crash-grid/scenarios.ts";
import { recordChanges } from "../power-loss/changes.ts";
import { recordAdoption } from "../power-loss/recordings.ts";
import { mistakenScenarios } from "./mistakes.ts";
import {
  type Mistaken,
  withEachRecordTooEarly,
  withoutEachSync,
  withTheNameAfterTheCommit,
  withTheRemovalBeforeTheTombstone,
} from "./reordered.ts";

/**
 * Every mistake of syncs and order that a power cut must bring to light. Not among them are the syncs that buy something
 * else than safety: that of the trash's name, since the tombstone is durable before it; those of the probe and
 * of the reserve, which hold nothing; and that of an announcement, which counts only beside a damaged record.
 */
export async function plantedMistakes(workspace: string): Promise<Mistaken[]> {
  const record = (name: string) => recordChanges(scenarioNamed(name), join(workspace, name));
  const save = await record("save");
  const retention = await record("retention");
  const finish = await record("finish");
  const adoption = await recordAdoption(join(workspace, "adoption"));
  const whole: Mistaken[] = [];
  for (const scenario of mistakenScenarios) {
    whole.push({ mistake: scenario.name, recording: await recordChanges(scenario, join(workspace, scenario.name)) });
  }
  return [
    ...withoutEachSync(save),
    ...withEachRecordTooEarly(save),
    withTheNameAfterTheCommit(save),
    ...withoutEachSync(retention, /^log(?!\/\.reserve)/),
    ...withEachRecordTooEarly(retention),
    withTheRemovalBeforeTheTombstone(retention),
    ...withoutEachSync(finish),
    ...withoutEachSync(adoption, /^data$/).slice(0, 1),
    ...whole,
  ];
}
