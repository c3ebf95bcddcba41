import { z } from "zod";
import type { KubeObject } from "./kube-object.ts";
import type { Resource } from "./resource.ts";

/** The kind of object that candidates for leadership write by turns. */
export const leases = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  scope: "Namespaced",
} as const satisfies Resource;

/** A Lease as a candidate reads it. */
export type LeaseRecord = Readonly<{
  uid: string;
  resourceVersion: string;
  /** Empty: nobody. */
  holder: string;
  /** How long the holder asked to be waited for; 0 where the object does not say. */
  durationSeconds: number;
  /** Only ever compared for equality: it was read off another process's clock. */
  renewTime: string;
  transitions: number;
}>;

/** What a candidate writes into a Lease's `spec`; what it leaves out stays as it is. */
export type LeaseSpec = Readonly<{
  holderIdentity: string;
  leaseDurationSeconds: number;
  renewTime: string;
  acquireTime?: string;
  leaseTransitions?: number;
}>;

/** An answer in the place of a Lease that is none. */
export class UnreadableLeaseError extends Error {
  override readonly name = "UnreadableLeaseError";
}

/**
 * Reads a Lease, of whoever wrote it. Every field of its `spec` is optional to the API server.
 *
 * @throws {UnreadableLeaseError} where it has no uid or version to compare and swap by.
 */
export function readLease(object: KubeObject): LeaseRecord {
  const parsed = Lease.safeParse(object);
  if (!parsed.success) {
    throw new UnreadableLeaseError(
      `Cannot read the Lease because the server's answer is none: ${JSON.stringify(object).slice(0, 120)}`,
      { cause: parsed.error },
    );
  }
  const { metadata, spec } = parsed.data;
  return {
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    holder: spec?.holderIdentity ?? "",
    durationSeconds: spec?.leaseDurationSeconds ?? 0,
    renewTime: spec?.renewTime ?? "",
    transitions: spec?.leaseTransitions ?? 0,
  };
}

/**
 * Whether its holder gave it up in good order: the name cleared and the duration set to one second, as every client
 * of this API does it. A name that was cleared by hand alone is no such word: its bearer may still be at work.
 */
export function isReleased(record: LeaseRecord): boolean {
  return record.holder === "" && record.durationSeconds === releasedSeconds;
}

/** The duration that a released Lease carries; the API takes none below. */
export const releasedSeconds = 1;

/**
 * An instant as the API's MicroTime, which takes exactly six digits and refuses the three of a JavaScript date. The
 * last three are the writer's count of its writes, so that no two writes of one process look alike.
 */
export function microTime(wallMs: number, writes: number): string {
  const digits = String(writes % 1000).padStart(3, "0");
  return `${new Date(wallMs).toISOString().slice(0, -1)}${digits}Z`;
}

/** One more holder; the field is of 32 bits, and whoever edits it by hand to the last value must not stop elections. */
export function nextTransitions(transitions: number): number {
  return transitions >= 2 ** 31 - 1 ? 0 : transitions + 1;
}

const Lease = z.looseObject({
  metadata: z.looseObject({ uid: z.string().min(1), resourceVersion: z.string().regex(/^\d+$/) }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .nullish(),
});
