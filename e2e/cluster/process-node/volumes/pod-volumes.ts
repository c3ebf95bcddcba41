import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pause } from "../backoff.ts";
import type { PodPlace } from "../pod/downward.ts";
import type { Pod } from "../pod/pod.ts";
import type { PodHome } from "../pod/pod-home.ts";
import { prepareVolumes, tokenRefreshSeconds, type VolumeDirectories } from "./volumes.ts";

const retryMs = 250;

/** The volumes of one pod, from the first try until the pod is gone. */
export class PodVolumes {
  readonly #pod: Pod;
  readonly #place: PodPlace;
  readonly #home: PodHome;
  readonly #directory: string;
  #directories: VolumeDirectories | undefined;

  constructor(pod: Pod, options: { place: PodPlace; home: PodHome; directory: string }) {
    this.#pod = pod;
    this.#place = options.place;
    this.#home = options.home;
    this.#directory = options.directory;
  }

  /** The directories by volume; undefined until they are there. */
  get directories(): VolumeDirectories | undefined {
    return this.#directories;
  }

  /** Makes the volumes, trying until all are there; false when the signal came first. */
  async prepare(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await this.#home.gate.pass();
      try {
        await mkdir(this.#directory, { recursive: true });
        const from = { pod: this.#pod, place: this.#place, objects: this.#home.objects };
        this.#directories = await prepareVolumes(join(this.#directory, "volumes"), from);
        return true;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#home.events.warn(this.#pod, "FailedMount", `MountVolume.SetUp failed: ${message}`);
        await pause(retryMs, signal);
      }
    }
    return false;
  }

  /** Fetches the tokens in the volumes anew, well before they expire, until the signal. */
  async refreshTokens(signal: AbortSignal): Promise<void> {
    const seconds = tokenRefreshSeconds(this.#pod.spec.volumes);
    while (seconds !== undefined && !signal.aborted) {
      await pause(seconds * 1_000, signal);
      await this.prepare(signal);
    }
  }
}
