import { rm } from "node:fs/promises";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { nameTargets, pointNames } from "@trainingrun/checkpoint/names.ts";
import type { Pause } from "@trainingrun/checkpoint/retention.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { foresee, type Room } from "@trainingrun/checkpoint/volume-room.ts";
import { writeAtomically } from "../control-directory.ts";
import type { Problem, VolumeFindings } from "./knowledge.ts";
import { availableBytes, roundedBytes } from "./volume-care-space.ts";

/** So many saves ahead the volume is seen to fill up. */
const savesAhead = 3;

/** What is mirrored, and whether that grows at present; null for a run without an object store. */
type Mirrored = Readonly<{ mirrored: ReadonlySet<Digest>; isFailing: boolean }> | null;

/**
 * Looks after what surrounds the checkpoints on a volume: the names by which people find them, the pause of saving that
 * an exhausted byte budget or log asks for, and the room that is left. Nothing here is needed for safety, so nothing that fails
 * here stops the agent: it is a problem that is shown until it passes.
 */
export class VolumeCare {
  readonly #environment: AgentEnvironment;
  readonly #store: Store;
  readonly #problems = new Map<string, Problem>();
  #pointedAt = "";
  #paused: string | null | undefined;

  constructor(environment: AgentEnvironment, store: Store) {
    this.#environment = environment;
    this.#store = store;
  }

  /** The present problems. */
  get problems(): readonly Problem[] {
    return [...this.#problems.values()];
  }

  /** Moves the names to where they lead now; asked before retention removes what they led to. */
  async pointNames(findings: VolumeFindings): Promise<void> {
    const { state, verified, policy, fenced } = findings;
    if (fenced || state.opened === null) return;
    const named = { state, verified, policy };
    const { latest, best } = nameTargets(named);
    const wanted = `${latest?.directory} ${best?.directory}`;
    if (this.#pointedAt === wanted) return;
    await this.#show("NamesBehind", async () => {
      await pointNames(this.#store, named);
      this.#pointedAt = wanted;
      return null;
    });
  }

  /** Asks the trainer for no more regular saves while budget or log have no room for one, and again once they have. */
  async pauseSaving({ plan, fenced }: VolumeFindings): Promise<void> {
    if (plan === null || fenced) return;
    const words = plan.pauseSaving && describePause(plan.pauseSaving);
    if (this.#paused === words) return;
    const path = join(this.#environment.TRAININGRUN_CONTROL, controlFiles.savingPaused);
    await this.#show("PauseFailed", async () => {
      if (words === null) await rm(path, { force: true });
      else await writeAtomically(path, words);
      this.#paused = words;
      return null;
    });
  }

  /** Compares the volume's free bytes with what the next saves need, before one of them fails. */
  async foresee({ state, policy }: VolumeFindings, mirror: Mirrored): Promise<void> {
    await this.#show("VolumeFilling", async () => {
      const available = await availableBytes(this.#environment);
      const recorded = this.#environment.TRAININGRUN_EXPECTED.recorded.map(({ digest }) => digest);
      const mirrored = mirror?.isFailing ? [...mirror.mirrored] : null;
      const now = new Date().toISOString();
      // It goes when its room is needed.
      const leftBehind = "LetGo";
      const room = foresee({ state, policy, recorded, mirrored, now, available, horizon: savesAhead, leftBehind });
      return room.saves === savesAhead ? null : describeRoom(room, mirrored !== null);
    });
  }

  /** Keeps what the work says, or why it failed, as the present problem of that name. */
  async #show(reason: string, work: () => Promise<string | null>): Promise<void> {
    const message = await work().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (message === null) this.#problems.delete(reason);
    else this.#problems.set(reason, { reason, message });
  }
}

function describePause({ limit, overview }: Pause): string {
  const full = { Budget: "The byte budget", Log: "The log" } as const;
  return `${full[limit]} has no room for another checkpoint: ${overview}\n`;
}

function describeRoom({ saves, next, available, freed }: Room, isMirrorAway: boolean): string {
  const room =
    saves === 0 ? "no room for the next checkpoint" : `room for ${saves} more checkpoint${saves > 1 ? "s" : ""}`;
  const still = freed > 0 ? `, ${roundedBytes(freed)} that retention still frees included` : "";
  const then = isMirrorAway ? " Then retention waits for the object store no more." : "";
  return `The volume has ${room}: one takes ${roundedBytes(next)}, and ${roundedBytes(available + freed)} are free${still}.${then} Give it more space, or have retention keep less (checkpoint.retention, checkpoint.maxBytes), which the next attempt does: suspend and resume the run.`;
}
