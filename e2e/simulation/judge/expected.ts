/** What a run comes to, once faults have stopped: what its scenario asks for. */
export type ExpectedRun = Readonly<{
  namespace: string;
  name: string;
  /** How many workers train together. */
  workers: number;
  end: "Complete" | "Failed" | "Suspended" | "Deleted";
  /** What it may have come to before that was asked of it. */
  orBefore?: "Complete" | "Failed";
  /** Of a run that its scenario makes fail: the reasons that its condition `Failed` may have. */
  failure?: readonly string[];
  targetStep: number;
  /** The digest of the final weights of the same run without a fault; null where there was none to compare with. */
  finalContent: string | null;
  intervalSteps: number;
  /** Steps that the trainer does while a save is under way. */
  stepsPerSave: number;
  /** How long a save takes at most once it is asked to stop, with healthy storage. */
  saveMs: number;
  /** Whether the program saves when it is asked to stop. */
  obeys: boolean;
  /** Whether no fault of the plan touches what the run is stored on: only then are its losses bounded. */
  hasHealthyStorage: boolean;
  /** Whether somebody changes or takes away what the run has stored, so that not all of it may be whole at the end. */
  isDamaged: boolean;
  /** Whether its namespace goes, and all that is in it: nothing can be made there to remove its objects elsewhere. */
  losesNamespace: boolean;
  /** Whether the object store may lack the final checkpoint of a run that has a volume as well. */
  mayLackUploads: boolean;
  /** A checkpoint of the user's choice, or a way back after the same crash twice, may be older than the newest. */
  mayGoBack: boolean;
  noneVerified: "Fail" | "StartOver";
  nodeLost: "Wait" | "Fence";
  deletionPolicy: "Retain" | "Delete";
  hasVolume: boolean;
  hasBucket: boolean;
  graceSeconds: number;
  /** How many checkpoints the run keeps at least. */
  keptLast: number;
  /** How long a refused checkpoint keeps its bytes. */
  evidenceMs: number;
  /** How long it may go without a new step before its conditions have to say why. */
  patienceMs: number;
}>;

/** What the judge holds a play against. */
export type Expected = Readonly<{
  runs: readonly ExpectedRun[];
  /** Objects that look like ours and are not, by `plural namespace/name`. */
  decoys: readonly string[];
  /** The operator's own limit of requests. */
  requests: Readonly<{ perSecond: number; burst: number }>;
  /** The terms of leadership; null where one operator runs without a Lease. */
  lease: Readonly<{ durationMs: number; travelMs: number }> | null;
  /** How long an operator may be blind while the server can be reached. */
  blindMs: number;
  /** How long an upload may be due at the end. */
  lagSeconds: number;
}>;

/** What is expected of the run of a name; undefined where the plan has none. */
export function expectedOf({ runs }: Expected, name: string, namespace: string): ExpectedRun | undefined {
  return runs.find((run) => run.name === name && run.namespace === namespace);
}
