import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { clientOfPlayed } from "../../../test/played-bucket.ts";
import type { UploadedPart } from "./multipart-sums.ts";
import type { ObjectClient } from "./object-client.ts";

const key = "data/step-000000000010-a0001/model.safetensors";
const [own, others] = [
  ["one", "two"],
  ["one", "too"],
];
const bytes = own.join("").length;

const md5 = (data: string | Buffer) => createHash("md5").update(data).digest();
/** What S3 names an object of these parts. */
const etagOf = (texts: readonly string[]) => `"${md5(Buffer.concat(texts.map(md5))).toString("hex")}-${texts.length}"`;
const four = (sum: number) => Buffer.from(sum.toString(16).padStart(8, "0"), "hex");
const crc32Of = (texts: readonly string[]) =>
  `${four(crc32(Buffer.concat(texts.map((text) => four(crc32(text)))))).toString("base64")}-${texts.length}`;

type Sent = { withCrc32: boolean; encrypted?: boolean };

/** The acknowledged parts of `own`; a store that encrypts with keys of its own makes tags of what it has then. */
function parts({ withCrc32, encrypted = false }: Sent): UploadedPart[] {
  return own.map((text, index) => ({
    part: index + 1,
    etag: `"${md5(encrypted ? `encrypted ${text}` : text).toString("hex")}"`,
    ...(withCrc32 ? { crc32: four(crc32(text)).toString("base64") } : { md5: md5(text).toString("base64") }),
  }));
}

/** A client of a store that knows the upload no more, and has under its key an object with these headers, or none. */
function clientOf(stored: Readonly<Record<string, string>> | null): Promise<ObjectClient> {
  return clientOfPlayed((request, response) => {
    const refuse = (code: string) => response.writeHead(404).end(`<Error><Code>${code}</Code></Error>`);
    if (["HEAD", "PUT"].includes(request.method ?? "") && stored !== null) response.writeHead(200, stored).end();
    else if (request.method === "POST") refuse("NoSuchUpload");
    else refuse("NoSuchKey");
  });
}

const length = { "content-length": `${bytes}` };
const sum = "x-amz-checksum-crc32";

describe("An upload that the store knows no more when it is completed", () => {
  test.each<[string, Sent, Record<string, string>]>([
    ["its tag is that of the parts", { withCrc32: false }, { ...length, etag: etagOf(own) }],
    ["its sum is that of the parts", { withCrc32: true }, { ...length, [sum]: crc32Of(own), etag: etagOf(others) }],
    ["its tag is that of the parts, and no sum is given", { withCrc32: true }, { ...length, etag: etagOf(own) }],
    [
      "neither tag nor sum says of which parts it is",
      { withCrc32: true },
      { ...length, etag: '"v1:opaque"', [sum]: "AAAAAA==" },
    ],
    ["it has nothing but a size", { withCrc32: false }, length],
    [
      "its tag is of other parts, as the tags of the parts themselves are of other bytes",
      { withCrc32: false, encrypted: true },
      { ...length, etag: etagOf(others) },
    ],
  ])("was completed before, and the answer lost, where an object of its size is there: %s", async (_, sent, stored) => {
    const { uploads } = await clientOf(stored);
    const upload = { key, uploadId: "gone", sum: "Md5" } as const;
    await expect(uploads.complete(upload, { parts: parts(sent), bytes })).resolves.toBeUndefined();
  });

  test.each<[string, Sent, Record<string, string> | null]>([
    ["nothing is there", { withCrc32: false }, null],
    ["what is there has another size", { withCrc32: false }, { "content-length": "5", etag: etagOf(own) }],
    ["its tag is that of other parts", { withCrc32: false }, { ...length, etag: etagOf(others) }],
    ["its tag is that of one part more", { withCrc32: false }, { ...length, etag: etagOf([...own, ""]) }],
    ["its sum is that of other parts", { withCrc32: true }, { ...length, [sum]: crc32Of(others), etag: etagOf(own) }],
  ])("was given up, and another try has to put the object anew: %s", async (_, sent, stored) => {
    const { uploads } = await clientOf(stored);
    const upload = { key, uploadId: "gone", sum: "Md5" } as const;
    await expect(uploads.complete(upload, { parts: parts(sent), bytes })).rejects.toThrow("404 NoSuchUpload");
  });
});

describe("A part", () => {
  test("is acknowledged with the MD5 that it was sent with, to tell whether the store's tags are such digests", async () => {
    const { uploads } = await clientOf({ etag: '"tag"' });
    const part = await uploads.put({ key, uploadId: "open", sum: "Md5" }, 1, new TextEncoder().encode("one"));
    expect(part).toEqual({ part: 1, etag: '"tag"', md5: md5("one").toString("base64") });
  });
});
