import { jsonLog } from "@trainingrun/operator/control/log.ts";
import { Operator } from "@trainingrun/operator/control/operator.ts";
import { decide } from "@trainingrun/operator/core/decide.ts";
import { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import { RequestLimit } from "@trainingrun/operator/kubernetes/request-limit.ts";
import { NetworkDispatcher } from "../host/network-dispatcher.ts";
import type { SimProcess } from "../host/process.ts";
import { ModelCredentials, type ModelDispatcher } from "./api/dispatcher.ts";

/** What an operator of a play is told. */
export type OperatorSettings = Readonly<{
  dispatcher: ModelDispatcher;
  namespaces: readonly string[];
  /** How it names itself. */
  instance: string;
}>;

/** The image of the agent in every pod of a play. */
export const agentImage = "model/agent";

/** The operator's program: put together as `main` does it, with the model's connections in place of its own. */
export async function operatorProgram(process: SimProcess, settings: OperatorSettings): Promise<void> {
  const { dispatcher, namespaces, instance } = settings;
  const random = () => process.row("backoff").next();
  const log = jsonLog((line) => process.print(line.trimEnd()));
  const client = new ApiClient({
    credentials: new ModelCredentials(dispatcher),
    limit: new RequestLimit({ perSecond: 50, burst: 100, inFlight: 32 }),
    retry: { tries: 5, backoff: { firstMs: 200, maxMs: 10_000, random }, longestRetryAfterMs: 30_000 },
    timeoutMs: 30_000,
    userAgent: instance,
  });
  const pods = { agentImage, agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;
  const operator = new Operator({
    client,
    decide: (observed) => decide(observed, pods),
    namespaces,
    watchNodes: true,
    workers: 4,
    instance,
    probeIntervalMs: probeMsOf(process),
    log,
    onPass: (run, { outcome, error }) => {
      if (error !== undefined) log("error", "a pass failed and will be repeated", { run, error });
      else if (outcome?.kind === "Again") log("info", "a pass will be repeated", { run, why: outcome.why });
    },
    onAttemptEnded: () => undefined,
    onWatchError: (error, about) => log("warn", "a watch broke and goes on", { watch: about, error }),
    agentDispatcher: new NetworkDispatcher(),
  });
  await operator.run(process.stop);
}

/** As the chart has it in a tenth of the plays. What nobody asked an agent is on record where it ends. */
function probeMsOf({ scheduler }: SimProcess): number {
  return scheduler.chance.draw("operator", "probes", 0) < 0.1 ? 2_000 : 5_000;
}
