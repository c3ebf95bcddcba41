import type { Network } from "../../host/network.ts";
import type { Scheduler } from "../../host/scheduler.ts";
import type { History } from "../../judge/history.ts";
import type { ModelApi } from "../api/model-api.ts";
import type { Acting } from "./acting.ts";
import type { Delays } from "./delays.ts";

/** What all parts of a model cluster share. */
export type ClusterParts = Readonly<{
  scheduler: Scheduler;
  api: ModelApi;
  network: Network;
  acting: Acting;
  delays: Delays;
  history: History;
}>;
