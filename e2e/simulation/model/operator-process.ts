import { jsonLog } from "@trainingrun/operator/control/log.ts";
import { Operator } from "@trainingrun/operator/control/operator.ts";
import { decide } from "@trainingrun/operator/core/decide.ts";
import { ApiClient, type ApiClientOptions } from "@trainingrun/operator/kubernetes/client.ts";
import { LeaderElection, uniqueIdentity } from "@trainingrun/operator/kubernetes/leader-election.ts";
import { leaseTiming } from "@trainingrun/operator/kubernetes/lease.ts";
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
  /** What stands in the file of its token. */
  token: () => string;
  /** The image of the agent that this version of it brings along. */
  agentImage: string;
  /** By which one of several leads; null where it is the only one. */
  lease: Readonly<{ namespace: string; name: string }> | null;
}>;

/** The operator's program: put together as `main` does it, with the model's connections in place of its own. */
export async function operatorProgram(
  process: SimProcess,
  settings: OperatorSettings,
  made: (operator: Operator) => void = () => undefined,
): Promise<void> {
  const { dispatcher, namespaces, instance, token, agentImage, lease } = settings;
  const random = () => process.row("backoff").next();
  const log = jsonLog((line) => process.print(line.trimEnd()));
  const credentials = new ModelCredentials(dispatcher, token);
  const makeClient = (parts: Pick<ApiClientOptions, "limit" | "mayWrite">) =>
    new ApiClient({
      ...parts,
      credentials,
      retry: { tries: 5, backoff: { firstMs: 200, maxMs: 10_000, random }, longestRetryAfterMs: 30_000 },
      timeoutMs: 30_000,
      userAgent: instance,
    });
  const limit = new RequestLimit({ perSecond: 50, burst: 100, inFlight: 32 });
  const election =
    lease === null
      ? null
      : new LeaderElection({
          client: makeClient({ limit: new RequestLimit({ perSecond: 5, burst: 5, inFlight: 4 }) }),
          lease,
          identity: uniqueIdentity(instance),
          timing: leaseTiming,
          now: () => process.scheduler.now - process.madeAt,
          random,
          onChange: (state) => log("info", "the election is in another state", { state }),
          onError: (error, about) => log("warn", "the election met an error and goes on", { about, error }),
        });
  const clientFor = (mayWrite: () => void) => makeClient({ limit, mayWrite });
  const pods = { agentImage, agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;
  const operator = new Operator({
    client: makeClient({ limit }),
    ...(election === null ? {} : { leadership: { election, clientFor } }),
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
  made(operator);
  await operator.run(process.stop);
}

/** As the chart has it in a tenth of the plays. What nobody asked an agent is on record where it ends. */
function probeMsOf({ scheduler }: SimProcess): number {
  return scheduler.chance.draw("operator", "probes", 0) < 0.1 ? 2_000 : 5_000;
}
