import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { Network } from "../../../host/network.ts";
import type { SimProcess } from "../../../host/process.ts";
import { Scheduler } from "../../../host/scheduler.ts";
import { History } from "../../../judge/history.ts";
import { namespaces } from "../../api/built-in-kinds.ts";
import { ModelApi } from "../../api/model-api.ts";
import { type Fields, fieldsOf, listOf, type StoredObject } from "../../api/object.ts";
import { Disk } from "../../disk/disk.ts";
import { Acting } from "../acting.ts";
import { Cluster } from "../cluster.ts";
import { Delays } from "../delays.ts";
import type { ContainerProgram } from "../program.ts";

/** The namespace of these tests. */
export const team = "team-a";

/** A cluster of two nodes, whose containers run what a test says, by the containers' names. */
export class SmallCluster {
  readonly scheduler = new Scheduler({ seed: 7 });
  readonly history = new History(() => this.scheduler.now);
  readonly api: ModelApi;
  readonly cluster: Cluster;
  #devices = 0;

  constructor(programs: Readonly<Record<string, ContainerProgram>>, { podsPerNode = 4, nodes = 2 } = {}) {
    const { scheduler, history } = this;
    const drawn = scheduler.chance.row("api", "drawn");
    this.api = new ModelApi({
      now: () => scheduler.epochMs + scheduler.now,
      random: () => drawn.next(),
      defer: (delayMs, run, kind) => void scheduler.after(scheduler.world, delayMs, run, kind),
    });
    const makeDisk = (kind: "Local" | "Network") => {
      this.#devices += 1;
      return new Disk({ device: this.#devices, clock: () => scheduler.epochMs + scheduler.now, kind });
    };
    const delays = new Delays(scheduler.chance);
    this.cluster = new Cluster({
      ...{ scheduler, api: this.api, network: new Network(), acting: new Acting(), delays, history },
      ...{ podsPerNode, makeDisk },
      nodes: Array.from({ length: nodes }, (_, index) => ({ name: `node-${index}`, skewMs: 0 })),
      programOf: ({ name }) => programs[name] ?? idle,
      onlooker: () => () => undefined,
      secretDisk: () => undefined,
      troubleOf: () => null,
      onPowerCut: () => undefined,
    });
    this.api.create({ resource: namespaces }, { metadata: { name: team } });
  }

  /** Makes a pod with an agent beside the trainer, or as it is said. */
  makePod(name: string, spec: Fields = {}): void {
    const body = {
      metadata: { name },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 10,
        initContainers: [{ name: "agent", restartPolicy: "Always" }],
        containers: [{ name: "trainer" }],
        ...spec,
      },
    };
    this.api.create({ resource: pods, namespace: team }, body);
  }

  makeClaim(name: string, accessMode = "ReadWriteOnce"): void {
    const spec = { accessModes: [accessMode], resources: { requests: { storage: "1Gi" } } };
    this.api.create({ resource: claims, namespace: team }, { metadata: { name }, spec });
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.scheduler.stepUntil(() => false, { untilMs: this.scheduler.now + ms });
  }

  pod(name: string): StoredObject | undefined {
    return this.api.store.get(pods, `${team}/${name}`)?.object;
  }

  /** What the status says of the pod, in a few words. */
  said(name: string): string {
    const pod = this.pod(name);
    if (pod === undefined) return "gone";
    const status = fieldsOf(pod.status);
    const states = ["initContainerStatuses", "containerStatuses"].flatMap((field) =>
      listOf(status[field])
        .map(fieldsOf)
        .map((each) => `${each.name} ${wordOf(fieldsOf(each.state))}`),
    );
    return [status.phase, ...states].join(", ");
  }

  /** What became of containers, in its order. */
  get lives(): readonly string[] {
    return this.history.events.flatMap((event) => {
      if (event.kind === "ContainerStarted") return [`${event.container} starts`];
      if (event.kind === "ContainerEnded") return [`${event.container} ends: ${event.how} ${event.exitCode}`];
      return [];
    });
  }
}

/** Runs until it is asked to stop, then exits with 0. */
export const idle: ContainerProgram = async ({ process }) => {
  await stopped(process);
  return 0;
};

/** Resolves when the process is asked to stop. */
export function stopped({ stop }: SimProcess): Promise<void> {
  return new Promise((resolve) => stop.addEventListener("abort", () => resolve()));
}

function wordOf(state: Fields): string {
  const { exitCode, reason } = fieldsOf(state.terminated);
  if (exitCode !== undefined) return `${reason} ${exitCode}`;
  return state.running === undefined ? `waits (${fieldsOf(state.waiting).reason})` : "runs";
}
