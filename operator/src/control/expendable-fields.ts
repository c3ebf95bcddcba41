/** Who reads a field of the status, of core/, and what follows where it is not there. */
export type Expendable = Readonly<{ readers: readonly string[]; without: string }>;

/**
 * Fields of the status that may be left out where the definition that the API server serves lacks them: they only show, are
 * learned anew, or are done without as an older version did. Every other one is an intent, a count, a time, or what a
 * restore is held against, and a write that would lose it is refused.
 */
export const expendable: Readonly<Record<string, Expendable>> = {
  observedGeneration: { readers: ["tend"], without: "a refused edit is told of in each pass, in one series of events" },
  state: { readers: ["begin"], without: "a suspended run is told of in each pass, in one series of events" },
  progress: {
    readers: ["advance", "goodput", "learn", "ledger"],
    without: "steps show in the agent's answers alone, and that none comes is told by the agent's stall watch alone",
  },
  interval: { readers: ["learn"], without: "not shown" },
  graceNeededSeconds: { readers: ["grace-period"], without: "measured anew with each attempt" },
  best: { readers: ["catalogue"], without: "not shown; the agent keeps it by the log" },
  totals: { readers: ["goodput", "ledger"], without: "not shown" },
  "latestVerified.epoch": { readers: [], without: "not shown" },
  "checkpoints.epoch": { readers: [], without: "not shown" },
  "checkpoints.kept": { readers: [], without: "not shown" },
  "stop.message": { readers: ["cause", "tend"], without: "the end is told without its words" },
  "stop.exitCode": { readers: ["cause"], without: "the end is told without it" },
  "attempts.podHash": { readers: ["stop"], without: "every edit supersedes an attempt that has not begun to train" },
  "attempts.podCount": { readers: [], without: "not shown" },
  "attempts.queue.name": { readers: ["queue-metadata"], without: "one pod goes where the run's labels say by then" },
  "attempts.queue.priorityClass": {
    readers: ["queue-metadata"],
    without: "one pod goes where the run's labels say by then",
  },
  "attempts.reason": { readers: [], without: "not shown" },
  "attempts.message": { readers: ["begin", "end-of-run"], without: "the end is told without its words" },
  "attempts.exitCode": { readers: ["end-of-run"], without: "the end is told without it" },
  "attempts.finalCheckpoint": { readers: ["grace-period"], without: "grace is judged by the open attempt alone" },
  "attempts.graceUsedSeconds": { readers: ["grace-period"], without: "grace is judged by the open attempt alone" },
  "attempts.graceSeconds": { readers: ["grace-period"], without: "grace is judged by what the spec says now" },
  "attempts.recoverySeconds": { readers: ["goodput", "learn"], without: "not shown, nor counted in goodput" },
  "attempts.environment": { readers: ["resume-events"], without: "told of in each pass, in one series of events" },
  "attempts.partial": { readers: ["resume-events"], without: "told of in each pass, in one series of events" },
  "attempts.replay": { readers: ["resume-events"], without: "told of in each pass, in one series of events" },
  "attempts.dump": { readers: ["learn"], without: "not shown; all of it is on the volume" },
  "attempts.fences": { readers: ["fencing"], without: "a lost node is waited for, as under Wait" },
  "conditions.observedGeneration": { readers: ["conditions"], without: "not shown" },
};
