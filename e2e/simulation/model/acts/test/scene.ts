import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { parse } from "yaml";
import { SimProcess } from "../../../host/process.ts";
import { type Event, eventsOf, type Fact, type FactOf } from "../../../judge/history.ts";
import type { Fault, FaultName } from "../../../plan/faults.ts";
import { plainRun } from "../../../plan/plain-run.ts";
import type { RunScenario, Scenario } from "../../../plan/scenario.ts";
import { namespaces } from "../../api/built-in-kinds.ts";
import type { ModelRequest } from "../../api/dispatcher.ts";
import { type Fields, fieldsOf, listOf, type StoredObject } from "../../api/object.ts";
import { trainingRunKind } from "../../api/run-kind.ts";
import type { ContainerLife } from "../../cluster/container-life.ts";
import type { Machine } from "../../cluster/machine.ts";
import { FaultActs } from "../../fault-acts.ts";
import type { PlayedOperator } from "../../operators.ts";
import { PlayWorld } from "../../play-world.ts";
import { bucketPlace } from "../../run-spec.ts";

/** The run of a scene, and the operator that is there. */
export const runName = plainRun.name;
export const operatorName = "operator-0";
export const team = plainRun.namespace;

const definitionPath = join(import.meta.dirname, "../../../../../crds/trainingrun.dev_trainingruns.yaml");
const runKind = trainingRunKind(fieldsOf(parse(readFileSync(definitionPath, "utf8"))));
const probeIp = "10.7.0.1";
let devices = 0;

/** Long enough for every fault to come and to go. */
const longRun: RunScenario = { ...plainRun, targetStep: 200, saveMs: 100 };

/** What a scene begins with: a run that differs so from a plain one, or none. */
export type Beginning = Partial<RunScenario> | "NoRun";

/** A whole model world in which one fault begins while a run trains, and what can be seen of it from outside. */
export class Scene {
  readonly world: PlayWorld;
  readonly #run: RunScenario;
  readonly #scenario: Scenario;
  readonly #told: string[] = [];
  #sinceAt = 0;
  #machine: Machine | null = null;
  #keys = 0;

  private constructor(run: RunScenario) {
    this.#run = run;
    this.#scenario = { runs: [run], nodes: 2, operators: 1, noise: { share: 0, longestMs: 0 }, skewsMs: {} };
    const nextDevice = () => {
      devices += 1;
      return devices;
    };
    this.world = new PlayWorld({ seed: 1, scenario: this.#scenario, keep: 0, runKind, nextDevice });
  }

  /** A world whose operator has come to itself, and whose run, where there is one, trains; with a checkpoint if it saves each step. */
  static async begin(beginning: Beginning = {}): Promise<Scene> {
    const scene = new Scene({ ...longRun, ...(beginning === "NoRun" ? {} : beginning) });
    scene.act(() => {
      if (beginning !== "NoRun") scene.world.createRun(runName);
      scene.world.operators.keep(0);
    });
    await scene.pass(2_000);
    const steps = scene.#run.intervalSteps === 1 ? 2 : 1;
    for (let waitedMs = 0; beginning !== "NoRun" && scene.step < steps; waitedMs += 500) {
      if (waitedMs > 60_000) throw new Error(`Cannot begin because no trainer has come to step ${steps}`);
      await scene.pass(500);
    }
    scene.#sinceAt = scene.world.history.events.length;
    scene.#machine =
      beginning === "NoRun" ? null : scene.world.cluster.machine(String(fieldsOf(scene.pod()?.spec).nodeName));
    return scene;
  }

  /** Lets a fault begin now. */
  async strike({ kind, target = runName, forMs = 10_000, args = {} }: Strike): Promise<FaultActs> {
    const fault: Fault = { id: "f0", kind, moment: { atMs: 0 }, target, forMs, args };
    const acts = this.acts([fault]);
    this.#sinceAt = this.world.history.events.length;
    acts.arm();
    await this.pass(0);
    return acts;
  }

  /** The acts of a plan with these faults. */
  acts(faults: readonly Fault[]): FaultActs {
    return new FaultActs(this.world, { seed: 1, scenario: this.#scenario, faults, chaosMs: 0 });
  }

  /** Does something as the world. */
  act(does: () => void): void {
    const { scheduler } = this.world;
    scheduler.after(scheduler.world, 0, does);
  }

  async pass(ms: number): Promise<void> {
    const { scheduler } = this.world;
    await scheduler.stepUntil(() => false, { untilMs: scheduler.now + ms });
  }

  /** What of a kind has happened since the scene began, or the fault did. */
  since<K extends Fact["kind"]>(kind: K): Event<FactOf<K>>[] {
    return eventsOf(this.world.history.events.slice(this.#sinceAt), kind);
  }

  /** The step that the trainer has come to. */
  get step(): number {
    return eventsOf(this.world.history.events, "Stepped").at(-1)?.step ?? 0;
  }

  /** How containers' processes have ended. */
  get ends(): readonly string[] {
    return this.since("ContainerEnded").map(({ container, how, exitCode }) => `${container} ${how} ${exitCode}`);
  }

  get operator(): PlayedOperator {
    const operator = this.world.operators.running(operatorName);
    if (operator === undefined) throw new Error(`Cannot see ${operatorName} because it does not run`);
    return operator;
  }

  /** The pod of an attempt, by its name; undefined where there is none. */
  pod(attempt = 1): StoredObject | undefined {
    return this.world.api.store.get(pods, `${team}/${runName}-${attempt}-0`)?.object;
  }

  /** What the status of a pod says of it under a type. */
  condition(pod: StoredObject | undefined, wanted: string): Fields {
    const said = listOf(fieldsOf(pod?.status).conditions).map(fieldsOf);
    return said.find(({ type }) => type === wanted) ?? {};
  }

  /** The container of a pod on its node. */
  container(name: string, attempt = 1): ContainerLife | undefined {
    const pod = this.pod(attempt);
    const life = pod === undefined ? undefined : this.world.cluster.life(pod);
    return life?.containers.find(({ snapshot }) => snapshot.name === name);
  }

  /** The machine that the first attempt's pod was bound to. */
  get machine(): Machine {
    if (this.#machine === null) throw new Error("Cannot look at a machine because the scene has no pod");
    return this.#machine;
  }

  /** The run as it stands. */
  get run(): StoredObject | undefined {
    return this.world.run(runName);
  }

  /** Takes the first attempt's pod away, so that another one follows. */
  preempt(): void {
    const pod = this.pod();
    if (pod === undefined) throw new Error("Cannot take the pod away because it is gone");
    this.world.cluster.preempt(pod);
  }

  createNamespace(name: string): void {
    this.world.user.create(namespaces, { metadata: { name } });
  }

  /** Sends a request as the operator does; returns the code or the error that it heard, or `silence`, and the words. */
  async asksServer(request: Partial<ModelRequest> = {}): Promise<Readonly<{ heard: string; text: string }>> {
    const told = { heard: "silence", text: "" };
    const headers = { authorization: "Bearer token-1", "content-type": "application/json" };
    this.operator.dispatcher.request({ method: "GET", path: "/api/v1/nodes", headers, ...request }).then(
      async ({ statusCode, body }) => {
        told.heard = String(statusCode);
        told.text = await body.text();
      },
      (error: unknown) => {
        told.heard = codeOf(error);
      },
    );
    await this.pass(50);
    return told;
  }

  /** Opens a watch on namespaces as the operator does; what it hears is `told`. */
  openWatch(version = this.world.api.store.version): void {
    const path = `/api/v1/namespaces?watch=true&resourceVersion=${version}`;
    const hear = async () => {
      const { body } = await this.operator.dispatcher.request({
        method: "GET",
        path,
        headers: { authorization: "Bearer token-1" },
      });
      for await (const piece of body) this.#told.push(...wordsOf(Buffer.from(piece).toString("utf8")));
      this.#told.push("the end");
    };
    hear().catch((error: unknown) => this.#told.push(codeOf(error)));
  }

  /** What the watches of this scene were told. */
  get told(): readonly string[] {
    return [...this.#told];
  }

  /** Asks the object store for something, from a machine of nobody's. */
  async asksStore(
    method: string,
    place: string,
    body = "",
  ): Promise<Readonly<{ heard: string; bytes: number; text: string }>> {
    const { scheduler, network } = this.world;
    const probe = new SimProcess(scheduler, { name: "probe" });
    network.join(probe, probeIp);
    let heard = "silence";
    const pieces: Buffer[] = [];
    const date = new Date(this.world.clockOf("server")).toISOString().replace(/[-:]|\.\d+/g, "");
    const asked = {
      method,
      path: `/${bucketPlace.name}${place}`,
      headers: { "x-amz-date": date },
      body: Buffer.from(body),
    };
    const { ip: host, port } = bucketPlace;
    scheduler.after(probe, 0, () => {
      network.ask(probe, { host, port }, asked, {
        begins: (status) => {
          heard = String(status);
        },
        brings: (bytes) => void pieces.push(bytes),
        ends: () => undefined,
        fails: ({ code }) => {
          heard = code;
        },
      });
    });
    await this.pass(20);
    const text = Buffer.concat(pieces);
    return { heard, bytes: text.byteLength, text: text.toString("utf8") };
  }

  /** A key that nobody has used. */
  newKey(): string {
    this.#keys += 1;
    return `probe-${this.#keys}`;
  }
}

/** A fault that begins now: of what kind, at what, and for how long. */
export type Strike = Readonly<{
  kind: FaultName;
  target?: string | undefined;
  forMs?: number | undefined;
  args?: Fault["args"] | undefined;
}>;

/** What a piece of a watch says: its type, and the object's name or the code of the error. */
function wordsOf(piece: string): readonly string[] {
  return piece
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      try {
        const { type, object } = fieldsOf(JSON.parse(line));
        const { metadata, code } = fieldsOf(object);
        return `${type} ${fieldsOf(metadata).name ?? code}`;
      } catch (error) {
        if (error instanceof SyntaxError) return "half a line";
        throw error;
      }
    });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
