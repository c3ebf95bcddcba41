import type { FaultName } from "../plan/faults.ts";
import type { Act } from "./acts/act.ts";
import { bucketActs } from "./acts/bucket-acts.ts";
import { nodeActs } from "./acts/node-acts.ts";
import { operatorActs } from "./acts/operator-acts.ts";
import { podActs } from "./acts/pod-acts.ts";
import { queueActs } from "./acts/queue-acts.ts";
import { trainerActs } from "./acts/trainer-acts.ts";
import { userActs } from "./acts/user-acts.ts";
import { volumeActs } from "./acts/volume-acts.ts";

/** What a fault of each kind does. A kind that is not here is not drawn. */
export const playable: Readonly<Partial<Record<FaultName, Act>>> = {
  ...podActs,
  ...trainerActs,
  ...queueActs,
  ...nodeActs,
  ...volumeActs,
  ...bucketActs,
  ...operatorActs,
  ...userActs,
};
