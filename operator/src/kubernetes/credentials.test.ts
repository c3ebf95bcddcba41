import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Credentials, CredentialsError } from "./credentials.ts";

describe("a kubeconfig's token", () => {
  let directory: string;
  let credentials: Credentials;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "trainingrun-credentials-"));
    credentials = new Credentials({ kind: "Kubeconfig", path: join(directory, "config") });
  });

  afterEach(async () => {
    await credentials.close();
    await rm(directory, { recursive: true, force: true });
  });

  const write = (name: string, text: string) => writeFile(join(directory, name), text);
  const authorization = async () => (await credentials.current()).headers.authorization;

  function kubeconfig(user: string): Promise<void> {
    return write(
      "config",
      `apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
users: [{name: other}, {name: u, user: ${user}}]
`,
    );
  }

  it.each([
    ["stands in it", "{token: own}", "Bearer own"],
    ["lies in a file beside it", "{tokenFile: token}", "Bearer first"],
    ["lies in a file, which wins over one that stands in it", "{token: own, tokenFile: token}", "Bearer first"],
    ["is not needed", "{}", undefined],
  ])("that %s is sent", async (_title, user, expected) => {
    await write("token", "first\n");
    await kubeconfig(user);
    expect(await authorization()).toBe(expected);
  });

  it("is read again from its file after the server has refused it", async () => {
    await write("token", "first");
    await kubeconfig("{tokenFile: token}");
    await authorization();
    await write("token", "second");
    credentials.expire();
    expect(await authorization()).toBe("Bearer second");
  });

  it("whose file is missing is said to be so", async () => {
    await kubeconfig("{tokenFile: nowhere}");
    await expect(authorization()).rejects.toThrow(CredentialsError);
    await expect(authorization()).rejects.toThrow("nowhere");
  });
});
