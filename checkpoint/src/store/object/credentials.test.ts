import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/fixture.ts";
import { readAccess } from "./credentials.ts";

const keys = (name: string) => ({
  accessKeyId: `id-${name}`,
  secretAccessKey: `secret-${name}`,
  sessionToken: `token-${name}`,
});

/** Replaces all files of a mounted Secret at once, and removes the old ones, as the kubelet does. */
async function mount(directory: string, version: number): Promise<void> {
  const name = `..version-${version}`;
  await mkdir(join(directory, name));
  for (const [file, text] of Object.entries(keys(`${version}`))) await writeFile(join(directory, name, file), text);
  await symlink(name, join(directory, "..next"));
  await rename(join(directory, "..next"), join(directory, "..data"));
  await rm(join(directory, `..version-${version - 1}`), { recursive: true, force: true });
}

describe("Keys in files", () => {
  test("are read without the white space that an editor leaves, and a token only where there is one", async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "accessKeyId"), " id\n");
    await writeFile(join(directory, "secretAccessKey"), "secret\r\n");
    await writeFile(join(directory, "ca.crt"), "certificate\n");
    expect(await readAccess(directory)).toEqual({
      credentials: { accessKeyId: "id", secretAccessKey: "secret", sessionToken: null },
      authority: "certificate",
    });
  });

  test("belong together and are all there, however often they are rotated meanwhile", async () => {
    const directory = await temporaryDirectory();
    await mount(directory, 0);
    const rotation = { isOver: false };
    const rotating = (async () => {
      for (let version = 1; version <= 100; version += 1) await mount(directory, version);
      rotation.isOver = true;
    })();
    const seen = new Set<string>();
    while (!rotation.isOver) {
      const { credentials } = await readAccess(directory);
      const version = credentials.accessKeyId.replace("id-", "");
      expect(credentials).toEqual(keys(version));
      seen.add(version);
    }
    await rotating;
    expect(seen.size).toBeGreaterThan(1);
  });

  test("that are missing, empty or no files are named", async () => {
    const directory = await temporaryDirectory();
    const missing = (name: string) =>
      expect(readAccess(directory)).rejects.toThrow(`${join(directory, name)} is not there or is empty`);
    await missing("accessKeyId");
    await writeFile(join(directory, "accessKeyId"), "id");
    await writeFile(join(directory, "secretAccessKey"), " \n");
    await missing("secretAccessKey");
    await rm(join(directory, "secretAccessKey"));
    await mkdir(join(directory, "secretAccessKey"));
    await expect(readAccess(directory)).rejects.toMatchObject({
      problem: "CredentialsMissing",
      message: `Cannot read secretAccessKey in ${directory}: let the agent's user read the Secret's files`,
    });
  });
});
