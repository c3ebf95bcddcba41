import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ObjectClient } from "../src/store/object/object-client.ts";
import type { Patience } from "../src/store/object/requests.ts";
import { temporaryDirectory } from "./fixture.ts";

/** A client of a store whose every answer the test gives, once it has the whole request; both end with the test. */
export async function clientOfPlayed(answer: RequestListener, patience?: Patience): Promise<ObjectClient> {
  const server = createServer((request, response) => {
    request.resume().once("end", () => answer(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const credentials = await temporaryDirectory();
  for (const name of ["accessKeyId", "secretAccessKey"]) await writeFile(join(credentials, name), name);
  const client = new ObjectClient({
    endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    bucket: "checkpoints",
    credentials,
    ...(patience && { patience }),
  });
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}
