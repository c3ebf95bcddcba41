import type { HeldTensor } from "../src/learner.ts";

/** One weight that is 0, and is copied in no time. */
export const zeroWeight: HeldTensor = {
  name: "weight",
  dtype: "F32",
  shape: [1],
  bytes: 4,
  read: () => new Uint8Array(4),
  copyTo: (target) => target.fill(0),
  release: () => undefined,
};
