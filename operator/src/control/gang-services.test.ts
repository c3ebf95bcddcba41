import { describe, expect, test } from "vitest";
import { runUid, runWith } from "../../test/run-builder.ts";
import { type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import { GangServices } from "./gang-services.ts";

const time = "2026-01-01T00:00:00Z";
const runOf = (workers: number, entry: object = {}) =>
  runWith({
    status: { attempt: 1, attempts: [{ number: 1, generation: 1, pods: [], startTime: time, workers, ...entry }] },
  });
const owned = (uid: string, fields: object = {}) => ({
  metadata: {
    name: "mnist",
    namespace: "team",
    uid: "s",
    resourceVersion: "1",
    ownerReferences: [{ uid, controller: true }],
    ...fields,
  },
});

describe("the Service of a gang that lives", () => {
  /** Looks at the Service of a run at these milliseconds, with a server that answers so; tells what was seen and asked. */
  async function looks(answer: () => Scripted, run = runOf(2), times: readonly number[] = [0]) {
    const asked: string[] = [];
    const client = scriptedClient(({ path }) => {
      asked.push(path);
      return answer();
    });
    let now = 0;
    const services = new GangServices(() => now);
    const seen: unknown[] = [];
    for (const each of times) {
      now = each;
      seen.push((await services.of(run, { client, bound: { signal: new AbortController().signal } })).service);
    }
    return { seen, asked };
  }

  test("is read by its name, and again only half a minute after it was seen to stand", async () => {
    const { seen, asked } = await looks(() => ({ status: 200, body: owned(runUid) }), runOf(2), [0, 29_999, 30_000]);
    expect(seen).toEqual(["Present", "Present", "Present"]);
    expect(asked).toEqual(["/api/v1/namespaces/team/services/mnist", "/api/v1/namespaces/team/services/mnist"]);
  });

  test.each([
    ["is not there", { status: 404, body: { kind: "Status" } }],
    ["is another's", { status: 200, body: owned("another") }],
    ["is being deleted", { status: 200, body: owned(runUid, { deletionTimestamp: time }) }],
  ])("is absent where one %s, and is read again each time", async (_, answer) => {
    const { seen, asked } = await looks(() => answer, runOf(2), [0, 1]);
    expect([seen, asked.length]).toEqual([["Absent", "Absent"], 2]);
  });

  test.each([
    ["has one worker", runOf(1)],
    ["has ended", runOf(2, { endTime: time })],
    ["never began", runWith()],
  ])("is not looked for where the attempt %s", async (_, run) => {
    expect(await looks(() => ({ status: 404, body: {} }), run)).toEqual({ seen: [undefined], asked: [] });
  });
});
