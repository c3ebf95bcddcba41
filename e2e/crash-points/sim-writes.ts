import type { Fault, Seen } from "../simulation/model/api/faults.ts";
import { fieldsOf, isFields, listOf } from "../simulation/model/api/object.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { Cut, Write } from "./cut.ts";

const verbs: Readonly<Record<string, string>> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };
/** Written again by an operator that is new, and by whoever leads: neither says what became of a run. */
const passing = ["events", "leases"];

/** Sees every write that operators send, cuts one of them, and knows what came of all. */
export class SimWrites {
  readonly #cut: Cut | null;
  readonly #kill: (operator: string) => void;
  readonly #seen: Write[] = [];
  readonly #created: string[] = [];
  readonly #deleted: string[] = [];
  /** Names are told without it: it is drawn. */
  runUid = "";
  #wasCut = false;

  constructor(world: PlayWorld, { cut, kill }: { cut: Cut | null; kill: (operator: string) => void }) {
    this.#cut = cut;
    this.#kill = kill;
    world.strikes.add((operator, seen) => this.#strike(operator, seen));
    world.api.store.listen(({ plural }, { type, object, before }) => {
      if (world.acting.actor.role !== "Operator" || passing.includes(plural)) return;
      const name = this.plain(`${plural} ${object.metadata.name}`);
      const wasAsked = before?.metadata.deletionTimestamp !== undefined;
      if (type === "ADDED") this.#created.push(name);
      else if (!wasAsked && (type === "DELETED" || object.metadata.deletionTimestamp !== undefined)) {
        this.#deleted.push(name);
      }
    });
  }

  /** Every write that was sent, in the order in which they came to the server. */
  get seen(): readonly Write[] {
    return this.#seen;
  }

  /** What operators have created, and asked to be deleted, each as often as it happened. */
  get created(): readonly string[] {
    return this.#created;
  }

  get deleted(): readonly string[] {
    return this.#deleted;
  }

  /** Whether the write that is to be cut has come. */
  get wasCut(): boolean {
    return this.#wasCut;
  }

  #strike(operator: string, seen: Seen): Fault | undefined {
    if (seen.method === "GET") return undefined;
    this.#seen.push(this.#wordsOf(seen));
    if (this.#cut?.ordinal !== this.#seen.length) return undefined;
    this.#wasCut = true;
    const { how } = this.#cut;
    if (how !== "Lost") this.#kill(operator);
    return { kind: how === "Before" ? "Reset" : "LoseAnswer" };
  }

  #wordsOf({ method, target, body }: Seen): Write {
    const said: unknown = body === undefined ? {} : JSON.parse(body);
    const { resource, namespace = "", name, subresource } = target ?? {};
    const about = [resource?.plural ?? "?", ...(subresource === undefined ? [] : [subresource])].join("/");
    const what = name ?? String(fieldsOf(fieldsOf(said).metadata).name ?? "");
    return this.plain(`${verbs[method] ?? method} ${about} ${namespace}/${what} (${partsOf(said).join(" ")})`);
  }

  /** A text without what differs from play to play: the run's uid, and the instants that events are named after. */
  plain(text: string): string {
    const [short] = this.runUid.split("-");
    const without = this.runUid === "" ? text : text.replaceAll(this.runUid, "UID").replaceAll(short ?? "", "UID");
    return without.replace(/^((?:create|patch) events\S*) \S+/, "$1");
  }
}

/** What a body is about: the fields of a status, else its own; or the paths of a patch that tests. */
function partsOf(said: unknown): readonly string[] {
  if (Array.isArray(said)) return listOf(said).map((each) => String(fieldsOf(each).path ?? ""));
  const { status } = fieldsOf(said);
  return Object.keys(isFields(status) ? status : fieldsOf(said)).toSorted();
}
