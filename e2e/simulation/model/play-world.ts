import { labels } from "@trainingrun/operator/api/names.ts";
import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Fate, Journey, Network } from "../host/network.ts";
import { SimProcess } from "../host/process.ts";
import { Scheduler } from "../host/scheduler.ts";
import { Trace } from "../host/trace.ts";
import { leaveUnsigned } from "../host/unsigned-requests.ts";
import { type Actor, History } from "../judge/history.ts";
import { nodeName, operatorName, type Scenario } from "../plan/scenario.ts";
import { agentProgram } from "./agent-process.ts";
import { namespaces } from "./api/built-in-kinds.ts";
import { ModelDispatcher } from "./api/dispatcher.ts";
import type { Fault, Seen } from "./api/faults.ts";
import type { Kind } from "./api/kind.ts";
import { ModelApi } from "./api/model-api.ts";
import type { Fields, StoredObject } from "./api/object.ts";
import { Bucket } from "./bucket/bucket.ts";
import { serveBucketFrom } from "./bucket/store-process.ts";
import { Acting } from "./cluster/acting.ts";
import { Cluster } from "./cluster/cluster.ts";
import { Delays } from "./cluster/delays.ts";
import type { Machine } from "./cluster/machine.ts";
import type { ContainerProgram } from "./cluster/program.ts";
import { plantTree } from "./disk/cut.ts";
import { Disk } from "./disk/disk.ts";
import { Facts } from "./facts.ts";
import { agentImage, operatorProgram } from "./operator-process.ts";
import { requestFact } from "./request-fact.ts";
import { bucketPlace, specOf } from "./run-spec.ts";
import { ToldNetwork } from "./told-network.ts";
import { trainerProgram } from "./trainer/trainer.ts";

/** What a world of a play is made of. */
export type WorldOptions = Readonly<{
  seed: number;
  scenario: Scenario;
  /** How many lines of the trace are kept for a person. */
  keep: number;
  runKind: Kind;
  /** The number of a disk, which no other has in the life of this Node: the library remembers what it has learnt of one. */
  nextDevice: () => number;
}>;

/** An operator of a play: its process, and its connection to the API server. */
export type PlayedOperator = Readonly<{
  name: string;
  process: SimProcess;
  dispatcher: ModelDispatcher;
}>;

const user = { role: "User", name: "somebody" } as const;
const operatorNetwork = "10.9.0";
const wireMs = 0.5;
const podsPerNode = 4;
/** Of the plays: so many sign what they ask of the store. */
const signedShare = 0.1;

/** Everything of a play that is not the product's: the server, the cluster, the network, and who runs in it. */
export class PlayWorld {
  readonly scheduler: Scheduler;
  readonly history: History;
  readonly facts: Facts;
  readonly api: ModelApi;
  readonly acting = new Acting();
  readonly cluster: Cluster;
  readonly network: Network;
  readonly bucket: Bucket;
  /** The resource of runs. */
  readonly runs: Resource;
  /** What is done to the requests of operators on their way; the first that strikes counts. */
  readonly strikes = new Set<(operator: string, seen: Seen) => Fault | undefined>();
  readonly #options: WorldOptions;
  readonly #delays: Delays;
  readonly #crashed = new Map<string, Set<number>>();
  readonly #reached = new Set<string>();

  constructor(options: WorldOptions) {
    this.#options = options;
    const { seed, scenario, keep, runKind } = options;
    // Whoever wants to see the trace wants to see where errors come from.
    const stacks = keep === 0 ? "Omitted" : "Kept";
    const scheduler = new Scheduler({
      seed,
      noise: scenario.noise,
      trace: new Trace({ keep }),
      stacks,
    });
    this.scheduler = scheduler;
    this.runs = runKind.resource;
    this.history = new History(() => scheduler.now);
    this.facts = new Facts(this.history);
    this.#delays = new Delays(scheduler.chance);
    this.network = new ToldNetwork((journey) => this.#fate(journey), this.facts);
    this.api = this.#makeApi(runKind);
    this.bucket = new Bucket({
      name: bucketPlace.name,
      clock: () => this.#clockOf("server"),
    });
    this.cluster = this.#makeCluster();
    this.#openStore();
    for (const name of new Set(scenario.runs.map(({ namespace }) => namespace))) {
      this.create(namespaces, { metadata: { name } });
    }
  }

  /** Makes an object as a person does. */
  create(resource: Resource, body: Fields, namespace?: string): StoredObject {
    const target = namespace === undefined ? { resource } : { resource, namespace };
    return this.acting.by(user, () => this.api.create(target, body).object);
  }

  /** Makes a run of the scenario as its user does. */
  createRun(name: string): StoredObject {
    const run = this.#scenarioOf(name);
    return this.create(this.runs, { metadata: { name }, spec: specOf(run) }, run.namespace);
  }

  /** Edits the spec of a run as its user does. */
  editRun(name: string, spec: Fields): void {
    const { namespace } = this.#scenarioOf(name);
    if (this.run(name) === undefined) return;
    const target = { resource: this.runs, namespace, name };
    this.acting.by(user, () => this.api.patch(target, "application/merge-patch+json", { spec }));
  }

  /** A run of the scenario as it stands; undefined where there is none. */
  run(name: string): StoredObject | undefined {
    const { namespace } = this.#scenarioOf(name);
    return this.api.store.get(this.runs, `${namespace}/${name}`)?.object;
  }

  /** The pods of a run, by its name, the newest attempt's last. */
  podsOf(run: string): readonly StoredObject[] {
    return this.api.store
      .list(pods, this.#scenarioOf(run).namespace)
      .map(({ object }) => object)
      .filter(({ metadata }) => metadata.labels?.[labels.run] === run)
      .toSorted((a, b) => attemptOf(a) - attemptOf(b));
  }

  /** Starts an operator: another process each time, under the name that it has in the plan. */
  startOperator(index: number): PlayedOperator {
    const { scheduler, acting, history, api } = this;
    const name = operatorName(index);
    const who: Actor = { role: "Operator", name };
    const process = new SimProcess(scheduler, {
      name,
      skewMs: this.#skewOf(name),
    });
    this.network.join(process, `${operatorNetwork}.${index + 1}`);
    const delay = () => this.#delays.ms("wire", name);
    const dispatcher = new ModelDispatcher({
      api,
      now: () => this.#clockOf("server"),
      toServer: (run) => void scheduler.after(scheduler.world, delay(), () => acting.by(who, run)),
      toClient: (run) => void scheduler.after(process, delay(), run),
      faults: {
        strike: (seen) => this.#strike(name, seen),
        answered: (seen, code) => {
          this.#reaches(name, true);
          const fact = requestFact(seen, {
            by: who,
            code,
            version: api.store.version,
          });
          if (fact !== null) history.note(fact);
        },
      },
    });
    history.note({ kind: "ProgramStarted", who });
    process.atEnd((ending) => {
      dispatcher.hangUp();
      this.#reaches(name, false);
      const how = ({ returned: "Returned", threw: "Threw", killed: "Killed" } as const)[ending.kind];
      const why = ending.kind === "killed" ? ending.why : ending.kind === "threw" ? String(ending.error) : undefined;
      history.note({ kind: "ProgramEnded", who, how, why });
    });
    process.start(() => operatorProgram(process, { dispatcher, namespaces: [], instance: name }));
    return { name, process, dispatcher };
  }

  #strike(operator: string, seen: Seen): Fault | undefined {
    for (const strike of this.strikes) {
      const fault = strike(operator, seen);
      if (fault === undefined) continue;
      if (fault.kind !== "LoseAnswer") this.#reaches(operator, false);
      return fault;
    }
    return undefined;
  }

  /** An operator reaches the server, or does not. */
  #reaches(operator: string, holds: boolean): void {
    if (this.#reached.has(operator) === holds) return;
    if (holds) this.#reached.add(operator);
    else this.#reached.delete(operator);
    this.history.note({ kind: "Reach", operator, holds });
  }

  #makeApi(runKind: Kind): ModelApi {
    const { scheduler, acting, history } = this;
    const drawn = scheduler.chance.row("api", "drawn");
    const api = new ModelApi({
      now: () => this.#clockOf("server"),
      random: () => drawn.next(),
      defer: (delayMs, run, kind) => void scheduler.after(scheduler.world, delayMs, run, kind),
      kinds: [runKind],
    });
    api.store.listen(({ plural }, { type, object, before }) => {
      history.note({
        kind: "Write",
        by: acting.actor,
        resource: plural,
        change: type,
        before,
        object,
      });
    });
    return api;
  }

  #makeCluster(): Cluster {
    const { scheduler, api, network, acting, history } = this;
    const { scenario, nextDevice } = this.#options;
    const makeDisk = (kind: "Local" | "Network") =>
      new Disk({
        device: nextDevice(),
        clock: () => this.#clockOf("server"),
        kind,
      });
    const keys = plantKeys(makeDisk("Local"));
    return new Cluster({
      ...{
        scheduler,
        api,
        network,
        acting,
        delays: this.#delays,
        history,
        podsPerNode,
        makeDisk,
      },
      nodes: Array.from({ length: scenario.nodes }, (_, index) => nodeName(index)).map((name) => ({
        name,
        skewMs: this.#skewOf(name),
      })),
      programOf: ({ image }, { run }) => (image === agentImage ? agentProgram : this.#trainer(run)),
      onlooker: (seen) => this.facts.watch(seen),
      secretDisk: (name) => (name === bucketPlace.secret ? keys : undefined),
    });
  }

  #openStore(): void {
    const { ip, port } = bucketPlace;
    const { scheduler } = this;
    const store = new SimProcess(scheduler, { name: "store" });
    this.network.join(store, ip);
    serveBucketFrom(store, { bucket: this.bucket, port });
    if (scheduler.chance.draw("bucket", "signed", 0) >= signedShare) leaveUnsigned(scheduler);
  }

  #trainer(runUid: string): ContainerProgram {
    const found = this.api.store.list(this.runs, undefined).find(({ object }) => object.metadata.uid === runUid);
    const run = this.#scenarioOf(found?.object.metadata.name ?? "");
    const crashed = this.#crashed.get(runUid) ?? new Set();
    this.#crashed.set(runUid, crashed);
    return trainerProgram({
      run,
      crashed,
      history: this.history,
      facts: this.facts,
    });
  }

  #scenarioOf(name: string) {
    const run = this.#options.scenario.runs.find((each) => each.name === name);
    if (run === undefined) throw new Error(`Cannot find the run ${JSON.stringify(name)} in the scenario`);
    return run;
  }

  #skewOf(who: string): number {
    return this.#options.scenario.skewsMs[who] ?? 0;
  }

  /** The wall clock of somebody, in milliseconds since 1970. */
  #clockOf(who: string): number {
    return this.scheduler.epochMs + this.scheduler.now + this.#skewOf(who);
  }

  /** What is sent to or from a machine that is cut off is lost; everything else arrives. */
  #fate({ clientIp, server }: Journey): Fate {
    const isLost = this.cluster.machines.some(
      (machine) => !machine.isHeard && isOn(machine, clientIp) !== isOn(machine, server.ip),
    );
    return isLost ? { kind: "lost" } : { kind: "arrives", afterMs: wireMs };
  }
}

function isOn({ network }: Machine, ip: string): boolean {
  return ip.startsWith(`${network}.`);
}

function attemptOf({ metadata }: StoredObject): number {
  return Number(metadata.labels?.[labels.attempt] ?? 0);
}

/** The keys of the store, as the kubelet mounts a Secret: in a directory that a link leads to. */
function plantKeys(disk: Disk): Disk {
  const keys = ["accessKeyId", "secretAccessKey"].map((name) => [`..1/${name}`, Buffer.from("model-key")] as const);
  plantTree(
    disk,
    new Map<string, Uint8Array | null | { target: string }>([["..1", null], ...keys, ["..data", { target: "..1" }]]),
  );
  return disk;
}
