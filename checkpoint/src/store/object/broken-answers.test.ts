import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { clientOfPlayed } from "../../../test/played-bucket.ts";
import type { ObjectClient } from "./object-client.ts";
import { ObjectStoreError } from "./object-store-error.ts";

/** What the store answers to one request; `cut`: its connection breaks after some bytes of the body. */
type Answer = Readonly<{ status: number; cut?: boolean; code?: string }>;

/** A client of a store that gives these answers in turn, the last one again and again, and counts the requests. */
async function clientOf(answers: readonly Answer[]) {
  const seen = { requests: 0 };
  const patience = { requestMs: 20_000, bytesPerSecond: 1024, tries: 3, firstPauseMs: 1, longestPauseMs: 1 };
  const client = await clientOfPlayed((_request, response) => {
    const answer = answers[Math.min(seen.requests, answers.length - 1)];
    seen.requests += 1;
    if (answer !== undefined) give(response, answer);
  }, patience);
  return { client, seen };
}

function give(response: ServerResponse, { status, cut = false, code = "" }: Answer): void {
  const body = `<Error><Code>${code}</Code><Message>in words</Message></Error>`;
  response.writeHead(status, { "content-type": "application/xml", "content-length": body.length });
  if (!cut) response.end(body);
  // Half of it has to be on its way before the connection goes.
  else response.write(body.slice(0, 20), () => setImmediate(() => response.destroy()));
}

const noKey = { status: 404, code: "NoSuchKey" };
const beyond = { status: 416, code: "InvalidRange" };
const taken = { status: 412, code: "PreconditionFailed" };
const cut = (answer: Answer): Answer => ({ ...answer, cut: true });

const get = (client: ObjectClient) => client.readWhole("log/1", 100);
const create = (client: ObjectClient) => client.put("log/1", Uint8Array.of(1), { ifAbsent: true });
const put = (client: ObjectClient) => client.put("data/1", Uint8Array.of(1), { ifAbsent: false });

describe("An answer that breaks off", () => {
  test.each<{ what: string; ask: (client: ObjectClient) => Promise<unknown>; answers: Answer[]; result: unknown }>([
    { what: "that an object is not there", ask: get, answers: [cut(noKey), noKey], result: null },
    { what: "that it ends before the range", ask: get, answers: [cut(beyond), beyond], result: new Uint8Array(0) },
    { what: "that a key is taken", ask: create, answers: [cut(taken), taken], result: "exists" },
    {
      what: "that a key is taken, which is removed",
      ask: create,
      answers: [cut(taken), { status: 200 }],
      result: "created",
    },
    { what: "that a key was created", ask: create, answers: [cut({ status: 200 }), taken], result: "exists" },
    { what: "that an object was put", ask: put, answers: [cut({ status: 200 }), { status: 200 }], result: "created" },
    {
      what: "that a request is refused",
      ask: put,
      answers: [cut({ status: 403, code: "SlowDown" }), { status: 200 }],
      result: "created",
    },
  ])("is asked for again where it was to say $what", async ({ ask, answers, result }) => {
    const { client, seen } = await clientOf(answers);
    expect(await ask(client)).toEqual(result);
    expect(seen.requests).toBe(2);
  });

  const missing = "Cannot get log/1 in STORE because it answered 404 and broke off with ECONNRESET (aborted): ";
  const refused = "Cannot put data/1 in STORE because it answered 403 and broke off with ECONNRESET (aborted): ";
  test.each([
    { ask: get, answer: noKey, problem: "EndpointUnreachable", says: missing },
    { ask: put, answer: { status: 403 }, problem: "AccessDenied", says: refused },
  ])("is no answer however often: $answer.status", async ({ ask, answer, problem, says }) => {
    const { client, seen } = await clientOf([cut(answer)]);
    const error = await ask(client).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ObjectStoreError);
    expect(error).toMatchObject({ problem });
    expect(`${error}`.replace(/http\S+/, "STORE")).toContain(says);
    expect(seen.requests).toBe(3);
  });

  test("is told from one that is whole, which is not asked for again", async () => {
    const { client, seen } = await clientOf([taken]);
    await expect(put(client)).rejects.toThrow("it answered 412 PreconditionFailed");
    expect(await create(client)).toBe("exists");
    expect(seen.requests).toBe(2);
  });
});
