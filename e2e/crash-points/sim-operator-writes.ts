import type { Fault, Seen } from "../simulation/model/api/faults.ts";
import { fieldsOf, isFields, listOf } from "../simulation/model/api/object.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { Write } from "./cut.ts";
import type { Tally } from "./sim-tally.ts";

const verbs: Readonly<Record<string, string>> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };

/** Counts every write that operators send to the API server, and cuts the one that is to be. */
export function cutOperators(world: PlayWorld, tally: Tally): void {
  world.strikes.add((operator, seen): Fault | undefined => {
    if (seen.method === "GET") return undefined;
    const how = tally.take(writeOf(seen, tally));
    if (how === null) return undefined;
    if (how !== "Lost") world.operators.running(operator)?.process.kill("at a write");
    return { kind: how === "Before" ? "Reset" : "LoseAnswer" };
  });
}

function writeOf({ method, target, body }: Seen, tally: Tally): Write {
  const said: unknown = body === undefined ? {} : JSON.parse(body);
  const { resource, namespace = "", name, subresource } = target ?? {};
  const about = [resource?.plural ?? "?", ...(subresource === undefined ? [] : [subresource])].join("/");
  const kind = `${verbs[method] ?? method} ${about}`;
  const what = name ?? String(fieldsOf(fieldsOf(said).metadata).name ?? "");
  // Events are named after the instants at which they happened.
  const whose = resource?.plural === "events" ? "" : ` ${namespace}/${what}`;
  return { words: tally.plain(`${kind}${whose} (${partsOf(said).join(" ")})`), kind, isAnswered: true };
}

/** What a body is about: the fields of a status, else its own; or the paths of a patch that tests. */
function partsOf(said: unknown): readonly string[] {
  if (Array.isArray(said)) return listOf(said).map((each) => String(fieldsOf(each).path ?? ""));
  const { status } = fieldsOf(said);
  return Object.keys(isFields(status) ? status : fieldsOf(said)).toSorted();
}
