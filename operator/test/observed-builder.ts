import { decide } from "../src/core/decide.ts";
import type { Decision } from "../src/core/decision.ts";
import type { Observed } from "../src/core/observed.ts";
import { at } from "./pod-builder.ts";
import { type Fields, runUid, runWith, start } from "./run-builder.ts";
import { settings } from "./world.ts";

/** The run's own claim, ready for use. */
export const boundClaim = {
  kind: "Present",
  claimName: "mnist-0123abcd",
  uid: "c",
  phase: "Bound",
  runUid,
  accessModes: [],
  deletionRequested: false,
  problem: "",
} as const;

/** The finalizers of a run that has begun. */
export const held = { finalizers: ["trainingrun.dev/final-save"] };

/** A run whose attempt 1 lives in the pod `pod-1`; `entry` adds to the attempt's ledger entry. */
export function living(fields: { status?: Fields; spec?: Fields; metadata?: Fields; entry?: Fields } = {}) {
  const entry = { number: 1, generation: 1, pods: [{ uid: "pod-1", node: "node-a" }], startTime: at(0) };
  return runWith({
    ...fields,
    metadata: { ...held, ...fields.metadata },
    status: { attempt: 1, attempts: [{ ...entry, ...fields.entry }], ...fields.status },
  });
}

/** An observation a minute after the start, of which a test says only what matters. */
export function observedWith(observed: Partial<Observed>): Observed {
  return {
    now: start + 60_000,
    run: runWith(),
    pods: [],
    gone: [],
    nodes: [],
    volume: boundClaim,
    removal: null,
    reports: [],
    refusals: [],
    ...observed,
  };
}

/** What is decided on such an observation. */
export function decideOn(observed: Partial<Observed>): Decision {
  return decide(observedWith(observed), settings);
}

export const kinds = ({ actions }: Decision) => actions.map(({ kind }) => kind);
export const condition = ({ status }: Decision, type: string) => status.conditions?.find((each) => each.type === type);
