/** How a trainer's program behaves. */
export type Program = Readonly<{
  /** What it does when it is asked to stop: saves, takes no notice, or exits 0 without a word. */
  onStop: "Saves" | "Ignores" | "ExitsZero";
  /** Steps at which it crashes, each once. */
  crashesAt: readonly number[];
  /** A step at which it crashes every time; null for a program that can finish. */
  poison: number | null;
}>;

/** A run as a plan has it, with the sizes that its model trainer and its spec get. */
export type RunScenario = Readonly<{
  namespace: string;
  name: string;
  /** When its user creates it. */
  appearsAtMs: number;
  workers: number;
  volume: "ReadWriteOnce" | "ReadWriteMany" | "None";
  hasBucket: boolean;
  targetStep: number;
  stepMs: number;
  intervalSteps: number;
  saveMs: number;
  graceSeconds: number;
  program: Program;
  /** `spec.retry.failures`. */
  failures: number;
  nodeLost: Readonly<{ policy: "Wait" }> | Readonly<{ policy: "Fence"; afterSeconds: number }>;
  deletionPolicy: "Retain" | "Delete";
  keptLast: number;
  noneVerified: "Fail" | "StartOver";
  /** `spec.stall.timeoutSeconds`; without it nobody looks for stalls. */
  stallSeconds?: number;
  /** `spec.ttlSecondsAfterFinished`; without it the run stays. */
  ttlSeconds?: number;
  /** Whether its user has put it into a queue, which holds its pods back until there is room for them. */
  isQueued?: boolean;
}>;

/** What a play is about, before anything is done to it. */
export type Scenario = Readonly<{
  runs: readonly RunScenario[];
  nodes: number;
  /** Whether there are objects that look like the runs' own and are none. */
  hasDecoys?: boolean;
  operators: 1 | 2;
  /** How often a call of the outside takes a while, and how long at most. */
  noise: Readonly<{ share: number; longestMs: number }>;
  /** How far the clocks are ahead, by who has them: an operator, a node, `server`. */
  skewsMs: Readonly<Record<string, number>>;
}>;

/** The name of a node by its index. */
export function nodeName(index: number): string {
  return `node-${index}`;
}

/** The name of an operator by its index. */
export function operatorName(index: number): string {
  return `operator-${index}`;
}
