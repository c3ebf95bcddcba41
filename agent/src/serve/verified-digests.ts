import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import { z } from "zod";
import { readControlFile, writeAtomically } from "../control-directory.ts";

/** More than the log has room for, and less than a control file may hold. */
const maxDigests = 8192;

const Digests = z.array(Digest).max(maxDigests);

/** `control/verified.json`: read by the next life of this agent in the same pod, and by nobody else. */
const VerifiedFile = z.object({
  version: z.literal(1),
  podUid: z.string(),
  verified: Digests,
  /** Matched once, and to be read again. */
  doubted: Digests,
});

/**
 * The checkpoints whose every byte was matched: by the agents before this pod's, as the operator has them on record, by
 * this pod's restore, and by every life of this agent. What only memory knew was read again after each restart of the
 * container, and a copy that had been good once was judged as if nobody had ever seen it so.
 */
export class VerifiedDigests {
  readonly #path: string;
  readonly #podUid: string;
  readonly #verified: Set<Digest>;
  readonly #doubted: Set<Digest>;
  #written = "";
  #isFailing = false;

  private constructor(environment: AgentEnvironment, verified: Set<Digest>, doubted: Set<Digest>) {
    this.#path = pathIn(environment);
    this.#podUid = environment.TRAININGRUN_POD_UID;
    this.#verified = verified;
    this.#doubted = doubted;
  }

  /** What is known as this life of the agent begins. A file that is torn, another pod's or of another version tells nothing. */
  static async known(environment: AgentEnvironment, restored: Restored): Promise<VerifiedDigests> {
    const file = await readControlFile(pathIn(environment), VerifiedFile);
    const own = file?.podUid === environment.TRAININGRUN_POD_UID ? file : null;
    const doubted = new Set<Digest>(own?.doubted);
    const verified = new Set([...matchedBefore(environment, restored), ...(own?.verified ?? [])]).difference(doubted);
    return new VerifiedDigests(environment, verified, doubted);
  }

  /** Those that count as verified now. */
  get now(): ReadonlySet<Digest> {
    return this.#verified;
  }

  /** Every byte was matched. */
  add(digest: Digest): void {
    this.#verified.add(digest);
    this.#doubted.delete(digest);
  }

  /** A copy that had matched was found to be another than it was. */
  doubt(digest: Digest): void {
    if (this.#verified.delete(digest)) this.#doubted.add(digest);
  }

  /** Leaves what the log still knows to the next life of this agent. Without it that reads everything again. */
  async keep({ checkpoints }: RunState): Promise<void> {
    const newest = checkpoints.slice(-maxDigests).map(({ digest }) => digest);
    const verified = newest.filter((digest) => this.#verified.has(digest));
    const doubted = newest.filter((digest) => this.#doubted.has(digest));
    const file = { version: 1, podUid: this.#podUid, verified, doubted } satisfies z.infer<typeof VerifiedFile>;
    const text = JSON.stringify(file);
    if (text === this.#written) return;
    try {
      await writeAtomically(this.#path, text);
      this.#written = text;
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) console.error(`What is verified would be read again after a restart: ${String(error)}`);
      this.#isFailing = true;
    }
  }
}

/** What the agents before this pod's have matched, as the operator has it on record, and this pod's restore. */
export function matchedBefore(environment: AgentEnvironment, { resume }: Restored): Digest[] {
  const { recorded, latestVerified } = environment.TRAININGRUN_EXPECTED;
  return [...recorded, latestVerified, resume].flatMap((one) => one?.digest ?? []);
}

function pathIn({ TRAININGRUN_CONTROL: control }: AgentEnvironment): string {
  return join(control, controlFiles.verified);
}
