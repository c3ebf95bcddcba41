import { dirname, join } from "node:path";
import { ensureKubeflowTrainer } from "../cluster/build/batch.ts";
import {
  type ControllerPlace,
  type Endpoints,
  type RunningController,
  startForeignController,
} from "../harness/foreign-controller.ts";

const group = "trainer.kubeflow.org";

/** Where Kubeflow Trainer is brought to, and how much it may ask of the API server; its own default where that is not said. */
type TrainerOptions = ControllerPlace & Partial<Readonly<{ requestsPerSecond: number; burst: number }>>;

/** Kubeflow Trainer's controller as a process on this machine. JobSet's must run already: a TrainJob becomes a JobSet. */
export async function startKubeflowTrainer(place: TrainerOptions): Promise<RunningController> {
  const { requestsPerSecond, burst } = place;
  const program = await ensureKubeflowTrainer(console.error, place.signal);
  const manifests = dirname(program);
  const resources = ["clustertrainingruntimes", "trainingruntimes", "trainjobs"];
  const controller = {
    name: "kubeflow-trainer",
    program,
    definitions: resources.map((resource) => join(manifests, `${group}_${resource}.yaml`)),
    webhooks: join(manifests, "manifests.yaml"),
    choose: () => ({}),
    // Its certificates it finds by itself.
    configuration: ({ host, port, healthPort }: Endpoints) => ({
      apiVersion: `config.${group}/v1alpha1`,
      kind: "Configuration",
      leaderElection: { leaderElect: false },
      certManagement: { enable: false },
      webhook: { host, port },
      health: { healthProbeBindAddress: `${host}:${healthPort}` },
      metrics: { bindAddress: "0", secureServing: false },
      ...(requestsPerSecond === undefined ? {} : { clientConnection: { qps: requestsPerSecond, burst } }),
    }),
  };
  return await startForeignController(controller, place);
}
