import { describe, expect, it } from "vitest";
import { start } from "../../test/run-builder.ts";
import { type Asked, patched, type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { DroppedFields } from "./kept-fields.ts";
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

describe("a status of which the server drops a field", () => {
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

  /** A server whose definition of the resource lacks a field; it holds what it was sent. */
  function serverWithout(field: keyof TrainingRunStatus, first: KubeObject = stored) {
    const sent: unknown[] = [];
    let held = first;
    const answer = (question: Asked): Scripted => {
      const { status } = question.body as KubeObject;
      sent.push(status);
      const merged = Object.entries({ ...(held.status as object), ...(status as object) });
      const kept = merged.filter(([name, value]) => name !== field && value !== null);
      const metadata = { ...held.metadata, resourceVersion: `${Number(held.metadata.resourceVersion) + 1}` };
      held = { ...held, metadata, status: Object.fromEntries(kept) };
      return { status: 200, body: held };
    };
    return { sent, answer, held: () => held };
  }

  it("that decides is taken back, counts as refused, and the field and what to do are named", async () => {
    const { sent, answer, held } = serverWithout("silence");
    let counted = 0;
    const written = await write({ stored: before, decided, raw: stored }, answer, { counted: () => (counted += 1) });
    expect(sent).toEqual([
      { state: "Fencing", graceNeededSeconds: 9, silence },
      { state: "Running", graceNeededSeconds: null, conditions: [told] },
    ]);
    expect([held().status, counted]).toEqual([{ ...before, conditions: [told] }, 0]);
    expect(written).toMatchObject({ kind: "Refused", raw: { metadata: { resourceVersion: "3" } } });
    expect(written.kind === "Refused" && refusalWords(written)).toBe(
      `Nothing begins for the run until its status can be written. ${words}`,
    );
  });

  it("that decides is not sent again within a minute, of whatever run, which is told once, and then it is tried anew", async () => {
    let now = 0;
    const dropped = new DroppedFields(() => now);
    const first = serverWithout("silence");
    await write({ stored: before, decided, raw: stored }, first.answer, { dropped });
    const second = serverWithout("best");
    now = 59_999;
    const refused = await write({ stored: before, decided, raw: stored }, second.answer, { dropped });
    expect([refused.kind, second.sent]).toEqual(["Refused", [{ conditions: [told] }]]);
    const known = { stored: { ...before, conditions: [told] } as TrainingRunStatus, decided, raw: second.held() };
    expect((await write(known, second.answer, { dropped })).kind).toBe("Refused");
    expect(second.sent.length).toBe(1);
    const other = await write({ stored: before, decided: { ...before, attempt: 2 }, raw: stored }, second.answer, {
      dropped,
    });
    now = 60_000;
    const again = await write({ stored: before, decided, raw: second.held() }, second.answer, { dropped });
    expect([other.kind, again.kind]).toEqual(["Whole", "Whole"]);
  });

  it("that only shows stands without it", async () => {
    const { sent, answer } = serverWithout("graceNeededSeconds");
    const written = await write({ stored: before, decided, raw: stored }, answer);
    expect([written.kind, sent.length]).toEqual(["Whole", 1]);
  });

  it("that decides keeps the rest where the run is deleted: it is let go in any case", async () => {
    const deleted = { ...stored, metadata: { ...raw.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    const { sent, answer, held } = serverWithout("silence", deleted);
    const written = await write({ stored: before, decided, raw: deleted }, answer);
    expect([written.kind, sent.length, held().status]).toEqual([
      "Refused",
      1,
      { ...before, state: "Fencing", graceNeededSeconds: 9 },
    ]);
  });
});
