/** What a fault is aimed at: its target is the name of a run, a namespace, a node or an operator, or the one API server. */
export type Aim = "Run" | "Namespace" | "Node" | "Operator" | "Server";

/** A kind of fault. */
export type FaultKind = Readonly<{
  /** Its number in the list of faults that the design wants covered. */
  code: string;
  aim: Aim;
  /** Whether it stands until it is healed, or is over as soon as it has happened. */
  lasts: boolean;
  /** What it can take from a run, beyond its time. */
  harms?: "Volume" | "Bucket";
  /** What a run must have for it to meet anything. */
  needs?: "Volume" | "Bucket" | "Gang";
  /** Argument by name: the numbers between which it is drawn. */
  args?: Readonly<Record<string, readonly [from: number, to: number]>>;
}>;

const trainerFaults = {
  TrainerKilled: { code: "F04", aim: "Run", lasts: false },
  AgentKilled: { code: "F04", aim: "Run", lasts: false },
  /** After the trainer has left word that it is done, and about when its final checkpoint is verified. */
  AgentKilledAtEnd: { code: "F04", aim: "Run", lasts: true, args: { afterMs: [0, 1_500] } },
  TrainerOutOfMemory: { code: "F06", aim: "Run", lasts: false },
  TrainerExits: { code: "F08", aim: "Run", lasts: false, args: { code: [0, 143] } },
  /** For good: only who looks for stalls can tell. */
  TrainerHangs: { code: "F07", aim: "Run", lasts: false, args: { stallSeconds: [30, 90] } },
  TrainerHeldUp: { code: "F07", aim: "Run", lasts: false, args: { forMs: [1_000, 40_000] } },
  SaveRequested: { code: "F01", aim: "Run", lasts: false },
} as const satisfies Record<string, FaultKind>;

const podFaults = {
  PodPreempted: { code: "F39", aim: "Run", lasts: false },
  PodEvicted: { code: "F39", aim: "Run", lasts: false },
  PodDeleted: { code: "F39", aim: "Run", lasts: false },
  PodForceDeleted: { code: "F38", aim: "Run", lasts: false },
  PodRelabelled: { code: "F36", aim: "Run", lasts: false, args: { what: [0, 3] } },
  PreemptionStorm: { code: "F42", aim: "Run", lasts: false, args: { times: [3, 6] } },
  ImageMissing: { code: "F40", aim: "Run", lasts: true, args: { config: [0, 1] } },
  Unschedulable: { code: "F41", aim: "Server", lasts: true },
  QuotaSpent: { code: "F41", aim: "Server", lasts: true },
  AdmissionRefuses: { code: "F41", aim: "Server", lasts: true },
  QueueHolds: { code: "F41", aim: "Run", lasts: true },
  QueueTakesBack: { code: "F39", aim: "Run", lasts: false },
  ServiceDeleted: { code: "F36", aim: "Run", lasts: false, needs: "Gang" },
} as const satisfies Record<string, FaultKind>;

const nodeFaults = {
  NodeTainted: { code: "F39", aim: "Node", lasts: true },
  NodeUnderPressure: { code: "F39", aim: "Node", lasts: true },
  NodeShutDown: { code: "F39", aim: "Node", lasts: true },
  NodeSilent: { code: "F37", aim: "Node", lasts: true },
  NodeFrozen: { code: "F37", aim: "Node", lasts: true },
  NodeLosesPower: { code: "F17", aim: "Node", lasts: true },
  NodeDeleted: { code: "F39", aim: "Node", lasts: false },
  KubeletRestarted: { code: "F02", aim: "Node", lasts: false, args: { forMs: [1_000, 10_000] } },
  ClockStepped: { code: "F43", aim: "Node", lasts: false, args: { byMs: [-3_600_000, 3_600_000] } },
} as const satisfies Record<string, FaultKind>;

const volumeFaults = {
  BitFlipped: { code: "F11", aim: "Run", lasts: false, harms: "Volume", needs: "Volume", args: { place: [0, 1e9] } },
  FileTruncated: { code: "F10", aim: "Run", lasts: false, harms: "Volume", needs: "Volume", args: { place: [0, 1e9] } },
  TailZeroed: { code: "F12", aim: "Run", lasts: false, harms: "Volume", needs: "Volume", args: { place: [0, 1e9] } },
  VolumeFull: { code: "F14", aim: "Run", lasts: true, harms: "Volume", needs: "Volume" },
  VolumeFails: { code: "F15", aim: "Run", lasts: true, harms: "Volume", needs: "Volume", args: { times: [1, 20] } },
  VolumeReadOnly: { code: "F15", aim: "Run", lasts: true, harms: "Volume", needs: "Volume" },
  VolumeSlow: { code: "F16", aim: "Run", lasts: true, harms: "Volume", needs: "Volume", args: { slowMs: [10, 2000] } },
  ChangesUntold: { code: "F29", aim: "Run", lasts: true, needs: "Volume" },
  ClaimDeleted: { code: "F18", aim: "Run", lasts: false, harms: "Volume", needs: "Volume" },
} as const satisfies Record<string, FaultKind>;

const bucketFaults = {
  BucketDown: { code: "F20", aim: "Run", lasts: true, harms: "Bucket", needs: "Bucket" },
  BucketFails: { code: "F21", aim: "Run", lasts: true, harms: "Bucket", needs: "Bucket", args: { times: [1, 20] } },
  BucketLosesReplies: { code: "F23", aim: "Run", lasts: true, needs: "Bucket", args: { times: [1, 10] } },
  BucketStalls: { code: "F22", aim: "Run", lasts: true, harms: "Bucket", needs: "Bucket" },
  AgentKilledUploading: { code: "F23", aim: "Run", lasts: true, needs: "Bucket", args: { puts: [0, 8] } },
  BucketCutsBodies: { code: "F22", aim: "Run", lasts: true, needs: "Bucket", args: { bytes: [0, 4096] } },
  ListingLags: { code: "F24", aim: "Run", lasts: true, needs: "Bucket", args: { byMs: [100, 30_000] } },
  KeysDenied: { code: "F25", aim: "Run", lasts: true, harms: "Bucket", needs: "Bucket" },
  BucketFull: { code: "F26", aim: "Run", lasts: true, harms: "Bucket", needs: "Bucket" },
} as const satisfies Record<string, FaultKind>;

const operatorFaults = {
  OperatorKilled: { code: "F27", aim: "Operator", lasts: false, args: { writes: [0, 6] } },
  OperatorPaused: { code: "F28", aim: "Operator", lasts: true },
  OperatorUpgraded: { code: "F33", aim: "Operator", lasts: false },
  OperatorCutOff: { code: "F30", aim: "Operator", lasts: true },
  AnswerLost: { code: "F31", aim: "Operator", lasts: false, args: { writes: [0, 6] } },
  WatchReset: { code: "F29", aim: "Operator", lasts: false },
  WatchStalled: { code: "F29", aim: "Operator", lasts: false },
  WatchHeld: { code: "F29", aim: "Operator", lasts: true },
  WatchTruncated: { code: "F29", aim: "Operator", lasts: false },
  WatchGarbled: { code: "F29", aim: "Operator", lasts: false },
  WatchExpired: { code: "F30", aim: "Operator", lasts: false },
  ReadsStale: { code: "F29", aim: "Operator", lasts: true },
  TokenRotated: { code: "F30", aim: "Operator", lasts: false },
} as const satisfies Record<string, FaultKind>;

const serverFaults = {
  ServerDown: { code: "F30", aim: "Server", lasts: true },
  ServerRestarted: { code: "F30", aim: "Server", lasts: false },
  ServerCompacted: { code: "F30", aim: "Server", lasts: false },
  ServerBusy: { code: "F30", aim: "Server", lasts: true, args: { times: [1, 10] } },
  ServerFails: { code: "F30", aim: "Server", lasts: true, args: { times: [1, 10] } },
  /** Of every run, and of nothing else: by its schema, by rights that are missing, by a webhook that is away. */
  StatusRefused: { code: "F41", aim: "Server", lasts: true, args: { how: [0, 2] } },
} as const satisfies Record<string, FaultKind>;

const userFaults = {
  RunEdited: { code: "F34", aim: "Run", lasts: false },
  RunRequeued: { code: "F34", aim: "Run", lasts: false, args: { taken: [0, 1] } },
  RunMisedited: { code: "F34", aim: "Run", lasts: true },
  RunSuspended: { code: "F34", aim: "Run", lasts: true, args: { resumed: [0, 1] } },
  RunDeleted: { code: "F35", aim: "Run", lasts: false },
  RunRecreated: { code: "F35", aim: "Run", lasts: false },
  FinalizerStripped: { code: "F35", aim: "Run", lasts: false, args: { ofPod: [0, 1] } },
  NamespaceDeleted: { code: "F41", aim: "Namespace", lasts: false },
} as const satisfies Record<string, FaultKind>;

/** Every kind of fault that a plan may have. */
export const faultKinds = {
  ...trainerFaults,
  ...podFaults,
  ...nodeFaults,
  ...volumeFaults,
  ...bucketFaults,
  ...operatorFaults,
  ...serverFaults,
  ...userFaults,
} as const;

export type FaultName = keyof typeof faultKinds;

/** The names of all kinds, in the order of the table. */
export const faultNames = Object.keys(faultKinds) as FaultName[];

/** The table's row of a kind. */
export function kindOf(name: FaultName): FaultKind {
  return faultKinds[name];
}

/** When a fault begins: at an instant, or as soon as a run is in a state. */
export type Moment = Readonly<{ atMs: number }> | Readonly<{ run: string; state: string; delayMs: number }>;

/** One fault of a plan. */
export type Fault = Readonly<{
  id: string;
  kind: FaultName;
  moment: Moment;
  target: string;
  /** How long one that lasts stands, if it is not healed before. */
  forMs: number;
  args: Readonly<Record<string, number>>;
}>;

/** The states of a run at which faults are aimed. */
export const aimedStates = ["Pending", "Restoring", "Running", "Saving", "Backoff"] as const;
