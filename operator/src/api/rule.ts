import type { z } from "zod";

/** A rule over several fields, once as CEL for the API server and once as code for everyone else. */
export type Rule<T> = Readonly<{
  /** CEL over `self`; true where the value is good. */
  cel: string;
  /** What the user reads: names the field and what to write instead. */
  message: string;
  /** The same rule in code. Absent for rules about a change, which only the API server can see. */
  holds?: (value: T) => boolean;
}>;

/** The CRD's `x-kubernetes-validations`, as kept in a schema's metadata. */
export const validationsKey = "x-kubernetes-validations";

/** Gives a schema its description and its rules, for zod and for the generated CRD alike. */
export function withRules<S extends z.ZodType>(
  schema: S,
  rules: readonly Rule<z.output<S>>[],
  description?: string,
): S {
  const refined = schema.superRefine((value, context) => {
    for (const rule of rules) {
      if (rule.holds && !rule.holds(value)) context.addIssue({ code: "custom", message: rule.message });
    }
  });
  return refined.meta({
    ...(description === undefined ? {} : { description }),
    [validationsKey]: rules.map(({ cel, message }) => ({ rule: cel, message })),
  });
}
