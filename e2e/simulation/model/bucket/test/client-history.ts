import type { ObjectClient } from "@trainingrun/checkpoint/store/object/object-client.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import fc from "fast-check";

/** One thing that the product's client is asked to do; keys are below the history's own prefix. */
export type ClientAct = readonly [name: keyof typeof acts, ...args: readonly (string | number | boolean)[]];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Place = Readonly<{ client: ObjectClient; prefix: string }>;

const acts = {
  put: ({ client, prefix }: Place, key: string, text: string, ifAbsent: boolean) =>
    client.put(prefix + key, encoder.encode(text), { ifAbsent }),
  read: async ({ client, prefix }: Place, key: string, position: number) => {
    const target = new Uint8Array(4);
    const read = await client.read(prefix + key, target, position);
    return read === null ? null : decoder.decode(target.subarray(0, read));
  },
  readWhole: async ({ client, prefix }: Place, key: string) => {
    const bytes = await client.readWhole(prefix + key, 8);
    return bytes === null ? null : decoder.decode(bytes);
  },
  size: ({ client, prefix }: Place, key: string) => client.size(prefix + key),
  has: ({ client, prefix }: Place, key: string) => client.has(prefix + key),
  list: async ({ client, prefix }: Place, below: string) =>
    (await client.list(prefix + below, 100)).map(({ key, bytes }) => `${key.slice(prefix.length)} ${bytes}`),
  folders: ({ client, prefix }: Place, below: string) => client.folders(prefix + below),
  remove: ({ client, prefix }: Place, one: string, other: string) => client.remove([prefix + one, prefix + other]),
  upload: async ({ client, prefix }: Place, key: string, text: string) => {
    const upload = await client.uploads.begin(prefix + key);
    const part = await client.uploads.put(upload, 1, encoder.encode(text));
    await client.uploads.complete(upload, { parts: [part], bytes: text.length });
  },
  uploadTooSmall: async ({ client, prefix }: Place, key: string) => {
    const upload = await client.uploads.begin(prefix + key);
    const parts = [1, 2].map((part) => client.uploads.put(upload, part, encoder.encode("of little")));
    await client.uploads
      .complete(upload, { parts: await Promise.all(parts), bytes: 18 })
      .catch(async (error: unknown) => {
        await client.uploads.abort(upload);
        throw error;
      });
  },
  uploadOfWrongPart: async ({ client, prefix }: Place, key: string, text: string) => {
    const upload = await client.uploads.begin(prefix + key);
    const part = await client.uploads.put(upload, 1, encoder.encode(text));
    await client.uploads
      .complete(upload, { parts: [{ ...part, part: 7 }], bytes: -1 })
      .catch(async (error: unknown) => {
        await client.uploads.abort(upload);
        throw error;
      });
  },
  abortTwice: async ({ client, prefix }: Place, key: string) => {
    const upload = await client.uploads.begin(prefix + key);
    await client.uploads.abort(upload);
    await client.uploads.abort(upload);
  },
  giveUp: async ({ client, prefix }: Place, key: string) => {
    await client.uploads.begin(prefix + key);
    await client.uploads.giveUp(prefix + key);
  },
} as const satisfies Record<string, (place: Place, ...args: never[]) => unknown>;

/** Anything that may be asked, over a few keys, so that much of it meets. */
export function aClientAct(): fc.Arbitrary<ClientAct> {
  const key = fc.constantFrom("log/1", "log/2", "log/10", "data/a/x", "data/a/y", "data/b/z", "data/w+ %&'/k", "top");
  const below = fc.constantFrom("", "log/", "data/", "data/a/", "data/a", "nothing/");
  const text = fc.constantFrom("", "x", "words", "0123456789");
  const onKey = fc.constantFrom("readWhole", "size", "has", "abortTwice", "giveUp", "uploadTooSmall");
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant("put" as const), key, text, fc.boolean()) },
    { weight: 4, arbitrary: fc.tuple(onKey, key) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("read" as const), key, fc.constantFrom(0, 3, 5, 20)) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("list" as const), below) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("folders" as const), fc.constantFrom("", "data/", "nothing/")) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("remove" as const), key, key) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom("upload", "uploadOfWrongPart"), key, text) },
  );
}

/** Plays a history and says what the client answered to each act, or its problem. */
export async function playClient(
  history: readonly ClientAct[],
  { client, prefix }: { client: ObjectClient; prefix: string },
): Promise<string[]> {
  const place: Place = { client, prefix: `${prefix}/` };
  const answers: string[] = [];
  for (const [name, ...args] of history) {
    const act: (place: Place, ...args: never[]) => unknown = acts[name];
    const answer = await attempt(() => Reflect.apply(act, undefined, [place, ...args]));
    answers.push(`${name} ${args.join(" ")} -> ${answer}`);
  }
  return answers;
}

async function attempt(act: () => unknown): Promise<string> {
  try {
    return JSON.stringify(await act()) ?? "done";
  } catch (error) {
    if (error instanceof ObjectStoreError) return error.problem;
    throw error;
  }
}
