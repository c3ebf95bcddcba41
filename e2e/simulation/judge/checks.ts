import { ends } from "./ends.ts";
import { liveness } from "./liveness.ts";
import type { Check } from "./oracle.ts";
import { safety } from "./safety.ts";

/** Every promise that a play is held against. */
export const allChecks: readonly Check[] = [...safety, ...liveness, ...ends];
