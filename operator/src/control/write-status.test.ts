import { describe, expect, it } from "vitest";
import { scriptedClient } from "../../test/scripted-client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { writeStatus } from "./write-status.ts";

const bound = { signal: new AbortController().signal };
const raw: KubeObject = { metadata: { name: "mnist", namespace: "a", uid: "u", resourceVersion: "1" } };

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
    const client = scriptedClient(() => {
      asked += 1;
      if (asked > 1) return { status: 200, body: raw };
      return { status: 403, body: { kind: "Status", reason: "Forbidden", message } };
    });
    const seen = { stored: {}, decided: { attempt: 1, state: "Running" } as const, raw };
    const written = await writeStatus(
      seen,
      { client, written: () => undefined, statusWritten: () => undefined },
      bound,
    );
    expect([written.kind, asked]).toEqual([kind, sent]);
  });
});
