import { beforeEach, describe, expect, it } from "vitest";
import { storedRun } from "../../test/run-builder.ts";
import { type Asked, type Scripted, scriptedClient } from "../../test/scripted-client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { writeUnreadable } from "./unreadable.ts";

const now = Date.parse("2026-01-02T00:00:00Z");
const bound = { signal: new AbortController().signal };
const earlier = "2026-01-01T00:00:00.000Z";
const foreign = {
  type: "FromTheFuture",
  status: "True",
  lastTransitionTime: earlier,
  reason: "New",
  message: "m",
  weight: 3,
};
const progressing = {
  type: "Progressing",
  status: "True",
  lastTransitionTime: earlier,
  reason: "Training",
  message: "m",
};

describe("a run that cannot be read", () => {
  let asked: Asked[];
  let written: string[];
  let answer: Scripted;

  beforeEach(() => {
    asked = [];
    written = [];
    answer = { status: 200, body: storedRun({ metadata: { resourceVersion: "2" } }) };
  });

  async function write(fields: Parameters<typeof storedRun>[0]): Promise<unknown> {
    const client = scriptedClient((question) => {
      asked.push(question);
      return answer;
    });
    const raw = storedRun(fields) as unknown as KubeObject;
    const writer = {
      client,
      now: () => now,
      written: (_: unknown, { metadata }: KubeObject) => written.push(metadata.resourceVersion),
    };
    await writeUnreadable(raw, "Cannot read it.", writer, bound);
    return asked[0]?.body;
  }
  const saysSo = { type: "Progressing", status: "Unknown", reason: "Unreadable", message: "Cannot read it." };

  it("says so in a condition, and keeps every other as it was stored", async () => {
    const body = await write({ status: { conditions: [foreign, progressing] } });
    expect(asked[0]?.path).toMatch(/trainingruns\/mnist\/status$/);
    expect(body).toMatchObject({
      metadata: { resourceVersion: "1" },
      status: { conditions: expect.arrayContaining([foreign, expect.objectContaining(saysSo)]) },
    });
    expect(written).toEqual(["2"]);
  });

  it("says so where it has no conditions yet", async () => {
    expect(await write({})).toMatchObject({ status: { conditions: [saysSo] } });
  });

  it.each([
    [
      "says so already",
      { status: { conditions: [{ ...saysSo, observedGeneration: 1, lastTransitionTime: earlier }] } },
    ],
    ["is over", { status: { conditions: [{ ...progressing, type: "Complete" }, progressing] } }],
    ["is another controller's", { spec: { managedBy: "example.com/theirs" } }],
    ["has conditions that cannot be read either", { status: { conditions: [{ type: 7 }] } }],
  ])("is left alone where it %s", async (_title, fields) => {
    await write(fields);
    expect(asked).toEqual([]);
  });

  it("is left to its event where the API server takes no condition", async () => {
    answer = { status: 422, body: { kind: "Status", message: "spec is wrong" } };
    await write({});
    expect([asked.length, written]).toEqual([1, []]);
  });

  it("is tried again where it changed meanwhile", async () => {
    answer = { status: 409, body: { kind: "Status", reason: "Conflict", message: "changed" } };
    await expect(write({})).rejects.toMatchObject({ status: 409 });
  });
});
