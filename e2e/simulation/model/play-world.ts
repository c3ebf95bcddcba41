import { labels } from "@trainingrun/operator/api/names.ts";
import { trainerName } from "@trainingrun/operator/api/template.ts";
import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { FileWitness } from "../host/files-access.ts";
import type { Fate, Journey } from "../host/network.ts";
import { SimProcess } from "../host/process.ts";
import { Scheduler } from "../host/scheduler.ts";
import { Trace } from "../host/trace.ts";
import { leaveUnsigned } from "../host/unsigned-requests.ts";
import { History, type PodPart } from "../judge/history.ts";
import { nodeName, type RunScenario, type Scenario } from "../plan/scenario.ts";
import { agentProgram } from "./agent-process.ts";
import { namespaces } from "./api/built-in-kinds.ts";
import type { Fault, Seen } from "./api/faults.ts";
import type { Kind } from "./api/kind.ts";
import { type Admission, ModelApi } from "./api/model-api.ts";
import type { Fields, StoredObject } from "./api/object.ts";
import type { Bucket } from "./bucket/bucket.ts";
import { serveBucketFrom } from "./bucket/store-process.ts";
import { Acting } from "./cluster/acting.ts";
import { Cluster } from "./cluster/cluster.ts";
import { Delays } from "./cluster/delays.ts";
import type { ContainerTrouble, Onlooker } from "./cluster/kubelet-home.ts";
import type { Machine } from "./cluster/machine.ts";
import type { ContainerProgram } from "./cluster/program.ts";
import { heldBack } from "./cluster/queue.ts";
import type { Volume } from "./cluster/volumes.ts";
import { plantTree } from "./disk/cut.ts";
import { Disk } from "./disk/disk.ts";
import { Facts } from "./facts.ts";
import { Meetings } from "./gang/meetings.ts";
import { podAddress } from "./gang/pod-names.ts";
import { leasePlace, Operators } from "./operators.ts";
import { bucketPlace, missingImage } from "./run-spec.ts";
import { ToldBucket } from "./told-bucket.ts";
import { type StoreRequest, ToldNetwork } from "./told-network.ts";
import { trainerProgram } from "./trainer/trainer.ts";
import { decoyName, User } from "./user.ts";

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

/** Of the plays: so many sign what they ask of the store. */
const signedShare = 0.1;
const wireMs = 0.5;
const podsPerNode = 4;

/** Everything of a play that is not the product's: the server, the cluster, the network, and who runs in it. */
export class PlayWorld {
  readonly scheduler: Scheduler;
  readonly history: History;
  readonly facts: Facts;
  readonly api: ModelApi;
  readonly acting = new Acting();
  readonly cluster: Cluster;
  readonly network: ToldNetwork;
  readonly bucket: Bucket;
  readonly operators: Operators;
  readonly user = new User(this);
  /** What is done to the requests of operators on their way; the first that strikes counts. */
  readonly strikes = new Set<(operator: string, seen: Seen) => Fault | undefined>();
  /** Who looks on, beside the facts, at what processes of pods do to their files; it may kill them over it. */
  readonly onlookers = new Set<Onlooker>();
  /** The resource of runs. */
  readonly runs: Resource;
  readonly #options: WorldOptions;
  readonly #delays: Delays;
  readonly #crashed = new Map<string, Set<number>>();
  readonly #meetings: Meetings;
  readonly #admitters = new Set<(write: Admission) => void>();
  readonly #troubles = new Set<(part: PodPart) => ContainerTrouble | null>();
  readonly #fates = new Set<(journey: Journey) => Fate | null>();

  constructor(options: WorldOptions) {
    this.#options = options;
    const { seed, scenario, keep, runKind } = options;
    // Whoever wants to see the trace wants to see where errors come from.
    const stacks = keep === 0 ? "Omitted" : "Kept";
    const scheduler = new Scheduler({ seed, noise: scenario.noise, trace: new Trace({ keep }), stacks });
    this.scheduler = scheduler;
    this.runs = runKind.resource;
    this.history = new History(() => scheduler.now);
    this.facts = new Facts(this.history);
    this.#delays = new Delays(scheduler.chance);
    this.network = new ToldNetwork((journey) => this.#fate(journey), { facts: this.facts, store: bucketPlace });
    this.api = this.#makeApi(runKind);
    this.#meetings = new Meetings({
      addressOf: (namespace, name) => podAddress(this.api.store, namespace, name),
      isOpen: (from, to) => !this.#isCut(from, to),
    });
    const { name, port, ip } = bucketPlace;
    this.bucket = new ToldBucket({ name, clock: () => this.clockOf("server") }, (change) =>
      this.facts.inBucket(`bucket/${name}`, change, this.network.asking),
    );
    this.cluster = this.#makeCluster();
    const store = new SimProcess(scheduler, { name: "store" });
    this.network.join(store, ip);
    serveBucketFrom(store, { bucket: this.bucket, port });
    if (scheduler.chance.draw("bucket", "signed", 0) >= signedShare) leaveUnsigned(scheduler);
    const hasLease = scenario.operators > 1;
    this.operators = new Operators(this, { hasLease, wireMs: (operator) => this.#delays.ms("wire", operator) });
    const used = new Set(scenario.runs.map(({ namespace }) => namespace));
    for (const each of hasLease ? [...used, leasePlace.namespace] : used) {
      this.user.create(namespaces, { metadata: { name: each } });
    }
  }

  /** Makes a run of the scenario as its user does. */
  createRun(name: string): StoredObject {
    return this.user.createRun(name);
  }

  /** Edits the spec of a run as its user does. */
  editRun(name: string, spec: Fields): void {
    this.user.edit(name, spec);
  }

  /** A run of the scenario as it stands; undefined where there is none. */
  run(name: string): StoredObject | undefined {
    const { namespace } = this.scenarioOf(name);
    return this.api.store.get(this.runs, `${namespace}/${name}`)?.object;
  }

  /** The pods of a run, by its name, the newest attempt's last. */
  podsOf(run: string): readonly StoredObject[] {
    return this.api.store
      .list(pods, this.scenarioOf(run).namespace)
      .map(({ object }) => object)
      .filter(({ metadata }) => metadata.labels?.[labels.run] === run && metadata.name !== decoyName(run))
      .toSorted((a, b) => attemptOf(a) - attemptOf(b));
  }

  /** The claim of a run's own; undefined where there is none. */
  claimOf(name: string): StoredObject | undefined {
    const uid = this.run(name)?.metadata.uid;
    return this.api.store
      .list(claims, this.scenarioOf(name).namespace)
      .map(({ object }) => object)
      .find(({ metadata }) => uid !== undefined && metadata.labels?.[labels.runUid] === uid);
  }

  /** The volume that a run's own claim is bound to. */
  volumeOf(name: string): Volume | undefined {
    const claim = this.claimOf(name);
    return claim === undefined ? undefined : this.cluster.volumes.of(claim);
  }

  /** Has every write looked at before it is stored, until the function returned is called. */
  admitting(admitter: (write: Admission) => void): () => void {
    this.#admitters.add(admitter);
    return () => void this.#admitters.delete(admitter);
  }

  /** Keeps trainers' containers from being made, until the function returned is called. */
  troubleContainers(trouble: (part: PodPart) => ContainerTrouble | null): () => void {
    this.#troubles.add(trouble);
    return () => void this.#troubles.delete(trouble);
  }

  /** Has a say in what becomes of messages, until the function returned is called. */
  bendJourneys(fate: (journey: Journey) => Fate | null): () => void {
    this.#fates.add(fate);
    return () => void this.#fates.delete(fate);
  }

  /** Hears of every request to the object store, until the function returned is called. */
  onStoreRequest(told: (request: StoreRequest) => void): () => void {
    this.network.storeListeners.add(told);
    return () => void this.network.storeListeners.delete(told);
  }

  #makeApi(runKind: Kind): ModelApi {
    const { scheduler, acting, history } = this;
    const drawn = scheduler.chance.row("api", "drawn");
    const api = new ModelApi({
      now: () => this.clockOf("server"),
      random: () => drawn.next(),
      defer: (delayMs, run, kind) => void scheduler.after(scheduler.world, delayMs, run, kind),
      kinds: [runKind],
      admit: (write) => {
        for (const admitter of this.#admitters) admitter(write);
      },
      complete: heldBack,
    });
    api.store.listen(({ plural }, { type, object, before }) => {
      history.note({ kind: "Write", by: acting.actor, resource: plural, change: type, before, object });
    });
    return api;
  }

  #makeCluster(): Cluster {
    const { scheduler, api, network, acting, history } = this;
    const { scenario, nextDevice } = this.#options;
    const makeDisk = (kind: "Local" | "Network") =>
      new Disk({ device: nextDevice(), clock: () => this.clockOf("server"), kind });
    const keys = plantKeys(makeDisk("Local"));
    return new Cluster({
      ...{ scheduler, api, network, acting, delays: this.#delays, history, podsPerNode, makeDisk },
      nodes: Array.from({ length: scenario.nodes }, (_, index) => nodeName(index)).map((name) => ({
        name,
        skewMs: this.skewOf(name),
      })),
      programOf: ({ image }, { run }) => (isAgent(image) ? agentProgram : this.#trainer(run)),
      onlooker: (seen) => this.#watch(seen),
      onPowerCut: (volume) => this.facts.powerCut(volume),
      troubleOf: ({ name, image }, part) => (name === trainerName ? this.#troubleOf(image, part) : null),
      secretDisk: (name) => (name === bucketPlace.secret ? keys : undefined),
    });
  }

  #watch(seen: Parameters<Onlooker>[0]): FileWitness {
    if (this.onlookers.size === 0) return this.facts.watch(seen);
    const witnesses = [this.facts.watch(seen), ...[...this.onlookers].map((onlooker) => onlooker(seen))];
    return (phase, access) => {
      for (const witness of witnesses) witness(phase, access);
    };
  }

  #troubleOf(image: string, part: PodPart): ContainerTrouble | null {
    if (image === missingImage)
      return { reason: "ErrImagePull", message: `failed to pull image "${image}": not found` };
    for (const trouble of this.#troubles) {
      const met = trouble(part);
      if (met !== null) return met;
    }
    return null;
  }

  #trainer(runUid: string): ContainerProgram {
    const found = this.api.store.list(this.runs, undefined).find(({ object }) => object.metadata.uid === runUid);
    const run = this.scenarioOf(found?.object.metadata.name ?? "");
    const crashed = this.#crashed.get(runUid) ?? new Set();
    this.#crashed.set(runUid, crashed);
    return trainerProgram({ run, crashed, history: this.history, facts: this.facts, meetings: this.#meetings });
  }

  /** A run as the scenario has it. */
  scenarioOf(name: string): RunScenario {
    const run = this.#options.scenario.runs.find((each) => each.name === name);
    if (run === undefined) throw new Error(`Cannot find the run ${JSON.stringify(name)} in the scenario`);
    return run;
  }

  /** How far somebody's clock is ahead in the beginning. */
  skewOf(who: string): number {
    return this.#options.scenario.skewsMs[who] ?? 0;
  }

  /** The wall clock of somebody, in milliseconds since 1970. */
  clockOf(who: string): number {
    return this.scheduler.epochMs + this.scheduler.now + this.skewOf(who);
  }

  /** What is sent to or from a machine that is cut off is lost; everything else arrives. */
  #fate(journey: Journey): Fate {
    for (const fate of this.#fates) {
      const bent = fate(journey);
      if (bent !== null) return bent;
    }
    const { clientIp, server } = journey;
    return this.#isCut(clientIp, server.ip) ? { kind: "lost" } : { kind: "arrives", afterMs: wireMs };
  }

  #isCut(from: string, to: string): boolean {
    return this.cluster.machines.some((machine) => !machine.isHeard && isOn(machine, from) !== isOn(machine, to));
  }
}

function isOn({ network }: Machine, ip: string): boolean {
  return ip.startsWith(`${network}.`);
}

function isAgent(image: string): boolean {
  return image.startsWith("model/agent:");
}

function attemptOf({ metadata }: StoredObject): number {
  return Number(metadata.labels?.[labels.attempt] ?? 0);
}

/** The keys of the store, as the kubelet mounts a Secret: in a directory that a link leads to. */
function plantKeys(disk: Disk): Disk {
  const keys = ["accessKeyId", "secretAccessKey"].map((name) => [`..1/${name}`, Buffer.from("model-key")] as const);
  const links = [["..data", { target: "..1" }]] as const;
  plantTree(disk, new Map<string, Uint8Array | null | { target: string }>([["..1", null], ...keys, ...links]));
  return disk;
}
