import { expect, test } from "vitest";
import { readS3Request } from "./s3-request.ts";

test.each([
  ["PUT", "/bucket/log/1.json", "PutObject", "log/1.json"],
  ["PUT", "/bucket/a%20b%2B/%C3%BC", "PutObject", "a b+/ü"],
  ["GET", "/bucket/a", "GetObject", "a"],
  ["GET", "/bucket/a?versionId=1", "GetObject", "a"],
  ["GET", "/bucket/a?retention", "Other", "a"],
  ["PUT", "/bucket/a?retention", "Other", "a"],
  ["HEAD", "/bucket/a", "HeadObject", "a"],
  ["DELETE", "/bucket/a", "DeleteObject", "a"],
  ["POST", "/bucket/a?uploads=", "CreateUpload", "a"],
  ["PUT", "/bucket/a?partNumber=1&uploadId=x", "UploadPart", "a"],
  ["POST", "/bucket/a?uploadId=x", "CompleteUpload", "a"],
  ["DELETE", "/bucket/a?uploadId=x", "AbortUpload", "a"],
  ["POST", "/bucket?delete", "DeleteObjects", ""],
  ["GET", "/bucket?list-type=2&prefix=log%2F", "ListObjects", ""],
  ["GET", "/bucket", "ListObjects", ""],
  ["GET", "/bucket?uploads&prefix=a", "ListUploads", ""],
  ["GET", "/bucket?versioning", "Other", ""],
  ["HEAD", "/bucket", "Other", ""],
  ["GET", "/", "Other", ""],
])("%s %s is %s of %j", (method, url, operation, key) => {
  expect(readS3Request(method, url)).toEqual({ method, operation, key, bucket: url === "/" ? "" : "bucket" });
});
