import { describe, expect, it } from "vitest";
import { start } from "../../test/run-builder.ts";
import { type Asked, patched, type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { DroppedFields, hasField, withoutFields } from "./kept-fields.ts";
import { refusalWords, type StatusWrite, writeStatus } from "./write-status.ts";

const bound = { signal: new AbortController().signal };
const raw: KubeObject = { metadata: { name: "mnist", namespace: "a", uid: "u", resourceVersion: "1" } };

type Seen = Parameters<typeof writeStatus>[0];

function write(
  seen: Seen,
  answer: (asked: Asked) => Scripted,
  { counted = () => undefined, dropped = new DroppedFields() }: { counted?: () => void; dropped?: DroppedFields } = {},
): Promise<StatusWrite> {
  const client = scriptedClient(answer);
  const writer = { client, written: () => undefined, statusWritten: counted, dropped, now: () => start };
  return writeStatus(seen, writer, bound);
}

describe("a status that is answered with 403", () => {
  const rows: readonly [name: string, message: string, sent: number, kind: string][] = [
    [
      "is not made smaller where we may not write any: its words are not what was refused",
      'trainingruns is forbidden: User "operator" cannot patch resource "trainingruns/status": RBAC: not found',
      1,
      "Refused",
    ],
    ["is made smaller where it was looked at", 'admission webhook "policy" denied the request', 2, "Reduced"],
  ];
  it.each(rows)("%s", async (_, message, sent, kind) => {
    let asked = 0;
    const seen = { stored: {}, decided: { attempt: 1, state: "Running" } as const, raw };
    const written = await write(seen, (question) => {
      asked += 1;
      if (asked > 1) return { status: 200, body: patched(raw, question) };
      return { status: 403, body: { kind: "Status", reason: "Forbidden", message } };
    });
    expect([written.kind, asked]).toEqual([kind, sent]);
  });
});

describe("a status of which the definition that is served lacks a field", () => {
  const silence = { attempt: 1, since: "2026-01-01T00:00:00Z", nodes: ["node-a"] };
  const before: TrainingRunStatus = { attempt: 1, state: "Running" };
  const decided: TrainingRunStatus = { ...before, state: "Fencing", graceNeededSeconds: 9, silence };
  const stored = { ...raw, status: before };

  const words =
    "Cannot keep status.silence.attempt, status.silence.since, status.silence.nodes because the CustomResourceDefinition that the API server serves does not have it: apply the crds/ of this version of the operator.";
  const told = {
    type: "Progressing",
    status: "Unknown",
    observedGeneration: 0,
    lastTransitionTime: "2026-01-01T00:00:00.000Z",
    reason: "StatusNotKept",
    message: words,
  };

  /** A server that holds what it was sent. What its definition lacks it refuses if it is sent, and leaves out if it stands. */
  function serverLacking(lacking: readonly string[], first: KubeObject = stored) {
    const server = { lacking, held: first, sent: [] as unknown[], answer };
    function answer({ path, body }: Asked): Scripted {
      expect(path).toMatch(/status\?fieldValidation=Strict$/);
      const { status } = body as KubeObject;
      server.sent.push(status);
      const unknown = server.lacking.filter((field) => hasField(status, field));
      if (unknown.length > 0) return refusalOf({ ...server.held, status }, unknown);
      const merged = Object.entries({ ...(server.held.status as object), ...(status as object) });
      const kept = Object.fromEntries(merged.filter(([, value]) => value !== null));
      const metadata = {
        ...server.held.metadata,
        resourceVersion: `${Number(server.held.metadata.resourceVersion) + 1}`,
      };
      server.held = { ...server.held, metadata, status: withoutFields(kept, server.lacking) };
      return { status: 200, body: server.held };
    }
    return server;
  }

  /** As the API server words it: with all of the object that would have been, before the fields. */
  function refusalOf(object: KubeObject, unknown: readonly string[]): Scripted {
    const named = unknown
      .map((field) => `unknown field "status.${field.replace("attempts", "attempts[0]")}"`)
      .join(", ");
    const message = `Invalid value: ${JSON.stringify(JSON.stringify(object))}: strict decoding error: ${named}`;
    const details = { causes: [{ reason: "FieldValueInvalid", field: "patch", message }] };
    return {
      status: 422,
      body: { kind: "Status", reason: "Invalid", message: ` "" is invalid: patch: ${message}`, details },
    };
  }

  it("that decides is refused before anything is stored, and the field and what to do are named", async () => {
    const server = serverLacking(["silence"]);
    let counted = 0;
    const seen = { stored: before, decided, raw: stored };
    const written = await write(seen, server.answer, { counted: () => (counted += 1) });
    expect(server.sent).toEqual([{ state: "Fencing", graceNeededSeconds: 9, silence }, { conditions: [told] }]);
    expect([server.held.status, counted]).toEqual([{ ...before, conditions: [told] }, 0]);
    expect(written).toMatchObject({ kind: "Refused", raw: { metadata: { resourceVersion: "2" } } });
    expect(written.kind === "Refused" && refusalWords(written)).toBe(
      `Nothing begins for the run until its status can be written. ${words}`,
    );
  });

  it("that only shows is sent without it, and whole again a minute later", async () => {
    let now = 0;
    const dropped = new DroppedFields(() => now);
    const server = serverLacking(["graceNeededSeconds"]);
    let counted = 0;
    const pass = async (state: "Running" | "Fencing") => {
      const seen = { stored: server.held.status as TrainingRunStatus, raw: server.held };
      const sends = server.sent.length;
      const { kind } = await write({ ...seen, decided: { ...decided, state } }, server.answer, {
        dropped,
        counted: () => (counted += 1),
      });
      return [kind, ...server.sent.slice(sends)];
    };
    const whole = { state: "Fencing", graceNeededSeconds: 9, silence };
    expect(await pass("Fencing")).toEqual(["Whole", whole, { state: "Fencing", silence }]);
    expect(await pass("Running")).toEqual(["Whole", { state: "Running" }]);
    // Nothing is left of what changed: there is nothing to write, again and again.
    expect([await pass("Running"), counted]).toEqual([["Whole"], 2]);
    now = 60_000;
    server.lacking = [];
    expect(await pass("Running")).toEqual(["Whole", { graceNeededSeconds: 9 }]);
  });

  it("that decides is not sent again within a minute, of whatever run, which is told once, and then it is tried anew", async () => {
    let now = 0;
    const dropped = new DroppedFields(() => now);
    const first = serverLacking(["silence"]);
    await write({ stored: before, decided, raw: stored }, first.answer, { dropped });
    const second = serverLacking([]);
    now = 59_999;
    const refused = await write({ stored: before, decided, raw: stored }, second.answer, { dropped });
    expect([refused.kind, second.sent]).toEqual(["Refused", [{ conditions: [told] }]]);
    const known = { stored: { ...before, conditions: [told] } as TrainingRunStatus, decided, raw: second.held };
    expect((await write(known, second.answer, { dropped })).kind).toBe("Refused");
    expect(second.sent.length).toBe(1);
    const other = await write({ stored: before, decided: { ...before, attempt: 2 }, raw: stored }, second.answer, {
      dropped,
    });
    now = 60_000;
    const again = await write({ stored: before, decided, raw: second.held }, second.answer, { dropped });
    expect([other.kind, again.kind]).toEqual(["Whole", "Whole"]);
  });

  it("does not silence a run that has the field on record: a server showed it, so a definition has it", async () => {
    const dropped = new DroppedFields(() => 0);
    dropped.note(["silence"]);
    const on = { ...before, silence };
    const server = serverLacking([], { ...raw, status: on });
    const written = await write({ stored: on, decided: { ...on, state: "Saving" }, raw: server.held }, server.answer, {
      dropped,
    });
    expect([written.kind, server.sent]).toEqual(["Whole", [{ state: "Saving" }]]);
  });

  const on = { ...before, silence };
  const later = { ...silence, nodes: ["node-a", "node-b"] };

  it("and that stands on record is told of in no condition: what such a server writes loses the field", async () => {
    const server = serverLacking(["silence.nodes"], { ...raw, status: on });
    const seen = { stored: on, decided: { ...on, silence: later }, raw: server.held };
    const written = await write(seen, server.answer);
    expect([written.kind, server.sent.length, server.held.status]).toEqual(["Refused", 1, on]);
  });

  const rows: readonly [then: string, lacking: readonly string[], kind: string, stands: object][] = [
    ["is brought back where another server has it", [], "Whole", { ...on, state: "Saving" }],
    ["is missed at once where none has it", ["silence"], "Refused", { ...before, state: "Saving", conditions: [told] }],
  ];
  it.each(rows)("which stood on record and goes with another write %s", async (_, lacking, kind, stands) => {
    const server = serverLacking(["silence"], { ...raw, status: on });
    const seen = { stored: on, decided: { ...on, state: "Saving" } as const, raw: server.held };
    const written = await write(seen, (question) => {
      const answer = server.answer(question);
      server.lacking = lacking;
      return answer;
    });
    expect([written.kind, server.held.status]).toEqual([kind, stands]);
  });

  it("that decides keeps the rest where the run is deleted: it is let go in any case", async () => {
    const deleted = { ...stored, metadata: { ...raw.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    const server = serverLacking(["silence"], deleted);
    const written = await write({ stored: before, decided, raw: deleted }, server.answer);
    expect([written.kind, server.sent.length, server.held.status]).toEqual([
      "Refused",
      2,
      { ...before, state: "Fencing", graceNeededSeconds: 9 },
    ]);
    const seen = { stored: server.held.status as TrainingRunStatus, decided, raw: server.held };
    expect([(await write(seen, server.answer)).kind, server.sent.length]).toEqual(["Refused", 3]);
  });

  it("is not asked about for ever, whatever the server names", async () => {
    let asked = 0;
    const written = await write({ stored: before, decided, raw: stored }, () => {
      asked += 1;
      return refusalOf(stored, ["other"]);
    });
    expect([written.kind, asked]).toEqual(["Refused", 2]);
  });
});
