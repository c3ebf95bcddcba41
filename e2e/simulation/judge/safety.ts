import { apiSafety } from "./api-safety.ts";
import { checkpointSafety } from "./checkpoint-safety.ts";
import { gangSafety } from "./gang-safety.ts";
import type { Check } from "./oracle.ts";
import { refusalSafety } from "./refusal-safety.ts";
import { runSafety } from "./run-safety.ts";
import { stopSafety } from "./stop-safety.ts";

/** What must never happen, at no instant of a play. */
export const safety: readonly Check[] = [
  ...checkpointSafety,
  ...gangSafety,
  ...runSafety,
  ...stopSafety,
  ...apiSafety,
  ...refusalSafety,
];
