import type { Cause, Charge } from "@trainingrun/operator/api/cause.ts";
import type { Installation } from "../harness/installation.ts";
import type { RunAccess } from "../harness/run-access.ts";
import type { RunView } from "../harness/run-view.ts";
import type { Manifest } from "./manifests.ts";

/** What the ledger has to say of an attempt that was ended in this way; any of the reasons will do. */
export type Ended = Readonly<{ cause: Cause; charge: Charge; reasons: readonly string[]; exitCode?: number }>;

/** What `Progressing` has to say of a run that cannot go on; it costs nothing, and no attempt follows. */
export type Blocked = Readonly<{ cause: "Blocked"; reasons: readonly string[]; words: RegExp }>;

/** The run that is to be ended, once it has come as far as its row asks. */
export type Victim = Readonly<{
  installation: Installation;
  access: RunAccess;
  /** As it was last seen. */
  run: RunView;
  signal: AbortSignal;
}>;

/** Puts back what a deed has changed of the cluster. */
export type Undo = () => Promise<unknown>;

/** Does to a run, from outside, what is to end it. */
export type Deed = (victim: Victim) => Promise<Undo | undefined>;

/** A namespace of the row's own, to be made ready before the run is created there. */
export type Ground = Readonly<{ installation: Installation; namespace: string; signal: AbortSignal }>;

/** How far a run has to be for the deed: created, with its pod on record, doing steps, or with two verified checkpoints. */
export type Stage = "Created" | "Begun" | "Training" | "Saved";

type Said = Readonly<{ way: string; says: Ended | Blocked }>;

/** A way that `npm run measure -- causes` walks on a cluster of container nodes. */
export type ClusterRow = Said &
  Readonly<{
    where: "Cluster";
    /** What takes a node away from all that runs there is done on a node kept for it, one after the other. */
    lane: "Shared" | "Node";
    /** Changes the run that idles or, by `trains`, the one that computes and saves; `node` is one that stays. */
    run: (manifest: Manifest, node: string) => Manifest;
    trains?: boolean;
    stage: Stage;
    deed?: Deed;
    ground?: (ground: Ground) => Promise<unknown>;
    /** Whose entry of the ledger says it: the first attempt's, where nothing else is said. */
    attempt?: number;
  }>;

/** A way that another test shows: on a cluster, or on shapes of pods as a kubelet has left them. */
export type TestRow = Said &
  Readonly<{
    where: "ClusterTest" | "RecordedShape";
    /** The file, from the project's directory, and the words by which the test is found in it. */
    file: string;
    title: string;
    /** Why it is not produced by the measurement. */
    why: string;
  }>;

/** One way for an attempt to end, or not to begin. */
export type Row = ClusterRow | TestRow;

type Changes = Partial<Omit<ClusterRow, "where" | "way" | "says">>;

/** A way that needs nothing but a run on a node like any other. */
export function onCluster(way: string, says: Ended | Blocked, changes: Changes): ClusterRow {
  const run: ClusterRow["run"] = (manifest) => manifest;
  return { where: "Cluster", way, says, lane: "Shared", run, stage: "Created", ...changes };
}

/** What the ledger says of an end. */
export function ended(cause: Cause, charge: Charge, reasons: readonly string[], exitCode?: number): Ended {
  return { cause, charge, reasons, ...(exitCode === undefined ? {} : { exitCode }) };
}

/** What is said of a run that is held up. */
export function blocked(reasons: readonly string[], words: RegExp): Blocked {
  return { cause: "Blocked", reasons, words };
}
