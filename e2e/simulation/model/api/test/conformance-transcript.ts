import { type Fields, fieldsOf, isFields, listOf } from "../object.ts";

/**
 * What a server said, with what no two servers can have in common put in its place: uids are named in the order in
 * which they were seen, versions by their rank, times by their form.
 */
export function transcript(said: readonly unknown[]): unknown {
  const shown = said.map(shownOf);
  const versions = new Set<number>();
  const uids = new Map<string, string>();
  visit(shown, (metadata) => {
    versions.add(Number(metadata.resourceVersion));
    const uid = String(metadata.uid);
    if (!uids.has(uid)) uids.set(uid, `uid ${uids.size + 1}`);
  });
  const ranks = new Map([...versions].sort((a, b) => a - b).map((version, index) => [version, `version ${index + 1}`]));
  return renamed(shown, { uids, ranks });
}

/** The part of an answer that is compared: of pods, claims and events what programs here read. */
function shownOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shownOf);
  if (!isFields(value)) return value;
  if (isFields(value.metadata) && "uid" in value.metadata) return objectShown(value);
  // The server says by which group it keeps an object, which for events is not the one that they were asked for by.
  const { group: _, ...details } = fieldsOf(value.details);
  if (value.kind === "Status") return { status: value.status, details };
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, shownOf(part)]));
}

function objectShown(object: Fields): unknown {
  const { managedFields: _, ...metadata } = fieldsOf(object.metadata);
  const { apiVersion, kind } = object;
  const said = { apiVersion, kind, metadata };
  const spec = fieldsOf(object.spec);
  const status = fieldsOf(object.status);
  if ("containers" in spec) {
    const { nodeName, terminationGracePeriodSeconds, restartPolicy } = spec;
    const conditions = listOf(status.conditions).map(fieldsOf);
    return {
      ...said,
      spec: { nodeName, terminationGracePeriodSeconds, restartPolicy },
      status: {
        phase: status.phase,
        conditions: conditions.map((each) => `${each.type} ${each.status} ${each.reason}`),
      },
    };
  }
  if ("regarding" in object) {
    const { eventTime, regarding, note, reason, type, action, series } = object;
    return { ...said, eventTime, regarding, note, reason, type, action, series };
  }
  return { ...said, spec: object.spec, status: object.status };
}

function visit(value: unknown, see: (metadata: Fields) => void): void {
  if (Array.isArray(value)) for (const each of value) visit(each, see);
  if (!isFields(value)) return;
  if (isFields(value.metadata) && "uid" in value.metadata) see(value.metadata);
  else for (const each of Object.values(value)) visit(each, see);
}

type Names = Readonly<{ uids: ReadonlyMap<string, string>; ranks: ReadonlyMap<number, string> }>;

function renamed(value: unknown, names: Names, key = ""): unknown {
  if (Array.isArray(value)) return value.map((each) => renamed(each, names));
  if (isFields(value)) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, part]) => part !== undefined)
        .map(([name, part]) => [name, renamed(part, names, name)]),
    );
  }
  if (key === "uid") return names.uids.get(String(value)) ?? value;
  if (key === "resourceVersion") return names.ranks.get(Number(value)) ?? "a version not seen";
  if (key === "namespace") return "its namespace";
  if (key.endsWith("Timestamp") && typeof value === "string") {
    return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) ? "a whole second" : value;
  }
  return value;
}
