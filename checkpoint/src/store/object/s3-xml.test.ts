import { describe, expect, test } from "vitest";
import { completionOf, parseErrors, parseListing, parseUploads, removalOf } from "./s3-xml.ts";

const page = (inside: string) => `<?xml version="1.0"?>\n<ListBucketResult xmlns="x">${inside}</ListBucketResult>`;
const entry = (key: string) => `<Contents><Key>${key}</Key><ETag>&#34;e&#34;</ETag><Size>3</Size></Contents>`;

describe("A listing", () => {
  test.each([
    ["as they are", "a+b%41 c", "a+b%41 c"],
    ["with the five named entities", "&lt;&gt;&amp;&quot;&apos;", "<>&\"'"],
    ["with numeric entities", "&#34;&#x1F600;&#39;", "\"😀'"],
    ["with an entity that is none", "&nope;&amp;amp;", "&nope;&amp;"],
    ["that look like numbers", "007", "007"],
  ])("gives keys %s", (_, text, key) => {
    expect(parseListing(page(entry(text)))).toEqual({
      keys: [{ key, bytes: 3 }],
      next: null,
    });
  });

  test("decodes keys where it says that they are encoded", () => {
    const { keys } = parseListing(page(`<EncodingType>url</EncodingType>${entry("a%2Bb+c%25")}`));
    expect(keys).toEqual([{ key: "a+b c%", bytes: 3 }]);
  });

  test("says where it goes on, and is none where it is cut and does not", () => {
    const cut = "<IsTruncated>true</IsTruncated>";
    expect(parseListing(page(`${cut}<NextContinuationToken>a&amp;b</NextContinuationToken>`)).next).toBe("a&b");
    expect(() => parseListing(page(cut))).toThrow("it is cut and does not say where it goes on");
    expect(() => parseListing("<html>Welcome</html>")).toThrow("it is no listing");
  });
});

test("uploads, errors and requests are read and written with every sign in its place", () => {
  const uploads = "<Upload><Key>a&amp;b</Key><UploadId>1e5</UploadId></Upload><Upload><Key>c</Key></Upload>";
  expect(parseUploads(`<ListMultipartUploadsResult>${uploads}</ListMultipartUploadsResult>`)).toEqual([
    { key: "a&b", uploadId: "1e5" },
    { key: "c", uploadId: "" },
  ]);
  expect(parseErrors("<Error><Code>SlowDown</Code><Message>a &lt; b</Message></Error>")).toEqual([
    { code: "SlowDown", message: "a < b" },
  ]);
  expect(parseErrors("<DeleteResult></DeleteResult>")).toEqual([]);
  // Elements whose names begin alike, with attributes, empty, and one that does not end.
  expect(
    parseErrors('<Errors/><Error a="b">\n<Codes>1</Codes><Code\nx="">A</Code></Error><Error></Error><Error>'),
  ).toEqual([
    { code: "A", message: "" },
    { code: "", message: "" },
  ]);
  expect(removalOf(["a&b", "<c>"]).text).toContain(
    "<Object><Key>a&#38;b</Key></Object><Object><Key>&#60;c&#62;</Key></Object>",
  );
  expect(completionOf([{ part: 1, etag: '"e"' }])).toContain("<PartNumber>1</PartNumber><ETag>&#34;e&#34;</ETag>");
});
