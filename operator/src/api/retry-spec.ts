import { z } from "zod";
import { withRules } from "./rule.ts";

const Backoff = withRules(
  z.strictObject({
    initialSeconds: z.int().min(1).max(86_400).default(10),
    maxSeconds: z.int().min(1).max(86_400).default(300),
  }),
  [
    {
      cel: "!has(self.initialSeconds) || !has(self.maxSeconds) || self.initialSeconds <= self.maxSeconds",
      message: "retry.backoff.initialSeconds must not exceed maxSeconds: raise maxSeconds or lower initialSeconds",
      holds: ({ initialSeconds, maxSeconds }) => initialSeconds <= maxSeconds,
    },
  ],
  "The wait doubles with every attempt in a row that brought nothing.",
);

const RetryRule = z.strictObject({
  exitCodes: z.array(z.int().min(0).max(255)).min(1).max(64),
  action: z
    .enum(["Fail", "Retry", "Ignore"])
    .describe("Fail: end the run. Retry: count a failure. Ignore: count a disruption."),
});
export type RetryRule = z.infer<typeof RetryRule>;

/** `spec.retry`. */
export const RetrySpec = z
  .strictObject({
    failures: z
      .int()
      .min(0)
      .max(10_000)
      .default(3)
      .describe(
        "Failures the run survives without progress; every newly verified checkpoint refills it. 0: the first one ends it.",
      ),
    backoff: Backoff.prefault({}),
    disruptions: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(0)
      .describe("Ends that the program did not cause and that the run survives. 0: no limit."),
    rules: z.array(RetryRule).max(32).default([]).describe("By the trainer's exit code. The first match wins."),
  })
  .describe("What the run survives.");
export type RetrySpec = z.infer<typeof RetrySpec>;
