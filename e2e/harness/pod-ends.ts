import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";

const List = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

const Change = z.object({
  type: z.string(),
  object: z.object({
    metadata: z.object({
      name: z.string(),
      deletionTimestamp: z.string().optional(),
      deletionGracePeriodSeconds: z.int().optional(),
    }),
    status: z
      .object({
        containerStatuses: z
          .array(
            z.object({
              name: z.string(),
              state: z.object({ terminated: z.object({ exitCode: z.int() }).optional() }).default({}),
            }),
          )
          .default([]),
      })
      .prefault({}),
  }),
});

/** How a pod ended: with how many seconds of grace it was asked to go, if it was, and its trainer's exit code. */
export type PodEnd = Readonly<{ graceSeconds?: number; exitCode?: number }>;

/** Remembers how the pods of a run ended, which the API server itself forgets with them. */
export class PodEnds {
  readonly #ends = new Map<string, PodEnd>();

  /** Watches from now on, until `signal`; a watch that breaks before that is told to `onError`. */
  static async watch(
    api: ApiClient,
    { run, signal, onError }: Readonly<{ run: string; signal: AbortSignal; onError: (error: unknown) => void }>,
  ): Promise<PodEnds> {
    const path = "/api/v1/namespaces/default/pods";
    const labelSelector = `trainingrun.dev/run=${run}`;
    const { metadata } = List.parse(
      await api.expect("GET", `${path}?labelSelector=${encodeURIComponent(labelSelector)}`),
    );
    const { resourceVersion } = metadata;
    const ends = new PodEnds();
    ends.#follow(api.lines(path, { watch: "true", labelSelector, resourceVersion }, signal)).catch(onError);
    return ends;
  }

  /** What is known of a pod's end; nothing of one that goes on. */
  of(pod: string): PodEnd {
    return this.#ends.get(pod) ?? {};
  }

  async #follow(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      const { metadata, status } = Change.parse(JSON.parse(line)).object;
      const trainer = status.containerStatuses.find(({ name }) => name === "trainer");
      const { exitCode } = trainer?.state.terminated ?? {};
      // The last word of a pod's kubelet takes the grace period to 0.
      const isAsked = metadata.deletionTimestamp !== undefined && (metadata.deletionGracePeriodSeconds ?? 0) > 0;
      this.#ends.set(metadata.name, {
        ...this.of(metadata.name),
        ...(isAsked && { graceSeconds: metadata.deletionGracePeriodSeconds ?? 0 }),
        ...(exitCode === undefined ? {} : { exitCode }),
      });
    }
  }
}
