import { labels } from "@trainingrun/operator/api/names.ts";
import { trainingRuns } from "@trainingrun/operator/control/caches.ts";
import { installTrainingRuns } from "../../operator/test/custom-resource.ts";
import { OperatorProcess } from "../../operator/test/operator-process.ts";
import { until } from "../../operator/test/until.ts";
import type { Contender, ContenderStart } from "./contender.ts";
import { FakeAgents, lastWords } from "./fake-agents.ts";
import { raised, type ScalePlane } from "./scale-plane.ts";
import { claimName } from "./shared-claim.ts";

const leaseName = "operator";
const inPlaceMs = 60_000;

/** TrainingRuns, with two processes of the operator of which one leads. */
export const runContender: ContenderStart = {
  name: "trainingrun",
  start: async (plane, pods) => {
    await installTrainingRuns(plane.client("scale"));
    const agents = new FakeAgents(pods);
    await agents.start();
    const leader = await startOperator(plane, "operator-1");
    await until("the first operator leads", () => leads(leader), inPlaceMs);
    const follower = await startOperator(plane, "operator-2");
    await until("the second operator is ready", () => follower.isReady(), inPlaceMs);
    return contender(plane, { leader, follower, agents });
  },
};

type Parts = Readonly<{ leader: OperatorProcess; follower: OperatorProcess; agents: FakeAgents }>;

function contender(plane: ScalePlane, { leader, follower, agents }: Parts): Contender {
  const client = plane.client("scale");
  const { namespace } = plane;
  return {
    processes: [
      { name: "operator", pid: leader.pid },
      { name: "second operator", pid: follower.pid },
    ],
    create: async (name, signal) => {
      const template = { spec: { containers: [{ name: "trainer", image: "example.com/trainer" }] } };
      const spec = { template, checkpoint: { volume: { claimName }, interval: { steps: 100 } } };
      const run = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name }, spec };
      await client.create({ resource: trainingRuns, namespace }, run, { signal });
    },
    objectOf: ({ metadata }) => metadata.labels?.[labels.run],
    lastWords,
    changeLeader: async (how) => (how === "Killed" ? await leader.kill() : leader.terminate()),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([leader.stop(), follower.stop()]);
      await agents[Symbol.asyncDispose]();
    },
  };
}

async function startOperator({ server, namespace }: ScalePlane, name: string): Promise<OperatorProcess> {
  return await OperatorProcess.start({
    kubeconfigPath: server.kubeconfigPath,
    namespace,
    environment: {
      POD_NAME: name,
      LEASE_NAMESPACE: namespace,
      LEASE_NAME: leaseName,
      API_REQUESTS_PER_SECOND: String(raised.requestsPerSecond),
      API_BURST: String(raised.burst),
      API_IN_FLIGHT: "64",
      WORKERS: "32",
    },
  });
}

async function leads(operator: OperatorProcess): Promise<boolean> {
  return (await operator.metrics("trainingrun_leader ")).includes("trainingrun_leader 1");
}
