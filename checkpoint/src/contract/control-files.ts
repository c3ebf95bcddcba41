/**
 * Files of the control directory (`TRAININGRUN_CONTROL`), shared by trainer and agent of one pod. Each is
 * written by temporary file and rename, so a reader sees a whole file or none; a reader still parses what it
 * finds and treats what does not parse as absent.
 */
export const controlFiles = {
  /** {@link Progress}; the trainer writes it, the agent reads it. */
  progress: "progress.json",
  /** {@link Restored}; the restore writes it, once its `open` stands in the log and the resume link is in place. */
  restored: "restored",
  /**
   * Empty; the agent creates it to ask for a save, the trainer removes it as that save begins. In a gang it is for worker
   * 0's trainer, which has all the others save the same step.
   */
  save: "save",
  /**
   * Why saving is paused, in words; the agent keeps it there while the byte budget has no room for another checkpoint.
   * The trainer leaves out its regular saves meanwhile. A save that is asked for, and the last one before it ends, it
   * makes all the same. In a gang worker 0's alone finds it, and decides for all.
   */
  savingPaused: "saving-paused",
  /**
   * A {@link TrainerRecord} of kind `done`; the trainer writes it after the final checkpoint's `commit` and
   * before it exits. The agent cannot read the trainer's termination log, and appends the log's `done` for it.
   */
  done: "done",
  /** A {@link TrainerRecord} of kind `preempted`; the trainer writes it when it hears SIGTERM, and again as it exits. */
  preempted: "preempted",
  /**
   * Empty; the agent creates it to be told what the trainer's process is doing, because no step has been done for long.
   * Who answers takes it away and writes {@link controlFiles.dump}; what the thread that trains does must not matter for it.
   */
  dumpRequest: "dump-request",
  /** Text for a person, the most telling lines first. A program that cannot rename in a signal handler may append to it. */
  dump: "dump",
  /** {@link MirrorRate}; the agent writes it after each upload, the trainer reads it when it is asked to stop. */
  mirrorRate: "mirror-rate",
  /**
   * Why nothing that this pod does counts any more, in words; the agent leaves it as it ends because another pod holds the
   * log. A trainer whose volume is the pod's own has no other way to learn of it: its directory's log is never opened by
   * anybody else. It ends, as where its own append finds the later `open`.
   */
  fenced: "fenced",
  /** Which checkpoints the agent has matched byte for byte; it writes it, for its own next life in the same pod. */
  verified: "verified.json",
  /** An {@link AgentRecord} of kind `restore-failed`: a restarted restore repeats this verdict, it does not judge again. */
  restoreFailed: "restore-failed",
} as const;
