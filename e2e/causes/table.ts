import { askedRows, restoreRows } from "./asked-rows.ts";
import { blockedRows } from "./blocked-rows.ts";
import { outsideRows } from "./outside-rows.ts";
import { programRows } from "./program-rows.ts";
import type { Row } from "./row.ts";
import { testRows } from "./test-rows.ts";

/**
 * Every way for an attempt to end, or not to begin, that the operator tells from the others: what produces it, and what the
 * run has to say of it. `npm run measure -- causes` walks those of a cluster in this order, some at a time.
 */
export const rows: readonly Row[] = [
  ...programRows,
  ...outsideRows,
  ...askedRows,
  ...restoreRows,
  ...blockedRows,
  ...testRows,
];

/** Ways of the table that no cluster has shown yet, as their rows say: a new one is on this list until `causes` has held with it. */
export const unseen: readonly string[] = [];
