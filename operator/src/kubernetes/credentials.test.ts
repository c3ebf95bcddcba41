import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { until } from "../../test/scripted-client.ts";
import { Credentials, CredentialsError } from "./credentials.ts";

let directory: string;
let credentials: Credentials;
let now: number;
let told: string[];

beforeEach(async () => {
  now = 0;
  told = [];
  directory = await mkdtemp(join(tmpdir(), "trainingrun-credentials-"));
  credentials = new Credentials(
    { kind: "Kubeconfig", path: join(directory, "config") },
    { now: () => now, onUnreadable: ({ message }) => told.push(message) },
  );
});

afterEach(async () => {
  await credentials.close();
  await rm(directory, { recursive: true, force: true });
});

const write = (name: string, text: string) => writeFile(join(directory, name), text);
const authorization = async () => (await credentials.current()).headers.authorization;

function kubeconfig(user: string, cluster = 'server: "https://127.0.0.1:1"'): Promise<void> {
  return write(
    "config",
    `apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {${cluster}}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
users: [{name: other}, {name: u, user: ${user}}]
`,
  );
}

describe("a kubeconfig's token", () => {
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

describe("credentials that cannot be read again", () => {
  const missing = () => rm(join(directory, "config"));
  const halfWritten = () => write("config", "apiVersion: v1\nkind: Config\nclusters: [{name: c, clus");
  const emptied = () => write("config", "");
  const withoutUser = () => kubeconfig("{}");
  const withoutToken = () => write("token", "");
  const badAuthority = () =>
    kubeconfig("{token: other}", "server: https://127.0.0.1:1, certificate-authority-data: eA==");
  const noKey = () => kubeconfig("{token: other, client-certificate-data: eA==, client-key-data: eA==}");
  it.each([
    ["for a file that is missing", missing],
    ["for a file of which half is written", halfWritten],
    ["for a file that is empty", emptied],
    ["for a user without a word", withoutUser],
    ["for a token that is empty", withoutToken],
    ["for an authority that is no certificate", badAuthority],
    ["for a client's certificate that is none", noKey],
  ])("stay the last good ones, %s, until they can be", async (_, spoil) => {
    await write("token", "good");
    await kubeconfig("{tokenFile: token}");
    const good = await credentials.current();
    await spoil();
    for (let time = 0; time < 3; time += 1) {
      now += 30_000;
      expect(await credentials.current()).toEqual(good);
    }
    expect(told).toEqual([expect.stringMatching(/^Cannot reach the API server because .*config/)]);
    await write("token", "better");
    await kubeconfig("{tokenFile: token}");
    now += 999;
    expect(await authorization()).toBe("Bearer good");
    now += 1;
    expect(await authorization()).toBe("Bearer better");
  });

  it("are told of anew when it happens again", async () => {
    for (let time = 0; time < 2; time += 1) {
      await kubeconfig("{token: own}");
      now += 30_000;
      await credentials.current();
      await emptied();
      now += 30_000;
      await credentials.current();
    }
    expect(told.length).toBe(2);
  });

  it("have nothing to stay where none were good", async () => {
    await halfWritten();
    await expect(credentials.current()).rejects.toThrow(CredentialsError);
    await kubeconfig("{token: own}");
    expect(await authorization()).toBe("Bearer own");
  });
});

describe("credentials that a program tells", () => {
  const apiVersion = "client.authentication.k8s.io/v1";
  let pipe: string;

  /** The program ends when it was told what to say. */
  beforeEach(async () => {
    pipe = join(directory, "pipe");
    await promisify(execFile)("mkfifo", [pipe]);
    await kubeconfig(`{exec: {apiVersion: ${apiVersion}, command: cat, args: ["${pipe}"]}}`);
  });
  afterEach(() => void vi.useRealTimers());

  const tell = (token: string) =>
    writeFile(pipe, JSON.stringify({ apiVersion, kind: "ExecCredential", status: { token } }));

  it("stay the last good ones while it hangs, and are the new ones once it has ended", async () => {
    const first = authorization();
    await tell("first");
    expect(await first).toBe("Bearer first");
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    now += 30_000;
    const hanging = authorization();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await hanging).toBe("Bearer first");
    expect(told).toEqual([expect.stringContaining("were not read from")]);
    now += 1_000;
    expect(await authorization()).toBe("Bearer first");
    vi.useRealTimers();
    await tell("second");
    let sent: string | undefined;
    await until(() => {
      void authorization().then((header) => {
        sent = header;
      });
      return sent === "Bearer second";
    });
  });

  it("are said to be missing where it hangs from the beginning", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const hanging = authorization().catch(String);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await hanging).toMatch(/^CredentialsError: Cannot reach .* within 10000 ms$/);
    vi.useRealTimers();
    await tell("late");
  });
});

describe("the pool of connections", () => {
  it("stays while only the token changes", async () => {
    await kubeconfig("{token: first}");
    const { dispatcher } = await credentials.current();
    await kubeconfig("{token: second}");
    credentials.expire();
    const after = await credentials.current();
    expect([after.headers.authorization, after.dispatcher === dispatcher]).toEqual(["Bearer second", true]);
  });

  it("and the address are changed with the server, and requests on the old one may end", async () => {
    let answer: (() => void) | undefined;
    const server = createServer((_, response) => {
      answer = () => response.end("late");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const here = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await kubeconfig("{token: own}", `server: "${here}", insecure-skip-tls-verify: true`);
    const before = await credentials.current();
    const underWay = before.dispatcher.request({ origin: before.server, path: "/", method: "GET" });
    await kubeconfig("{token: own}", 'server: "https://127.0.0.2:1/", insecure-skip-tls-verify: true');
    now += 30_000;
    const after = await credentials.current();
    expect([before.server, after.server, after.dispatcher === before.dispatcher]).toEqual([
      here,
      "https://127.0.0.2:1",
      false,
    ]);
    await until(() => answer !== undefined);
    answer?.();
    expect(await (await underWay).body.text()).toBe("late");
    server.close();
  });
});
