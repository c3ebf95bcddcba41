import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/fixture.ts";
import { readAccess } from "./credentials.ts";

const keys = (name: string) => ({
  accessKeyId: `id-${name}`,
  secretAccessKey: `secret-${name}`,
  sessionToken: `token-${name}`,
});

/**
 * Replaces all files of a mounted Secret at once, and removes the old ones, as the kubelet does. Not a moment is left for
 * readers in between: whoever has followed the link by then finds nothing where it led.
 */
function mount(directory: string, version: number): void {
  const name = `..version-${version}`;
  mkdirSync(join(directory, name));
  for (const [file, text] of Object.entries(keys(`${version}`))) writeFileSync(join(directory, name, file), text);
  symlinkSync(name, join(directory, "..next"));
  renameSync(join(directory, "..next"), join(directory, "..data"));
  rmSync(join(directory, `..version-${version - 1}`), { recursive: true, force: true });
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

  test("belong together and are all there, whenever they are rotated meanwhile", async () => {
    const directory = await temporaryDirectory();
    mount(directory, 0);
    for (let version = 1; version <= 50; version += 1) {
      const reads = Promise.all(Array.from({ length: 8 }, () => readAccess(directory)));
      // A different moment of the reads each time.
      for (let turn = 0; turn < version % 10; turn += 1) await setImmediate();
      mount(directory, version);
      for (const { credentials } of await reads) {
        expect([keys(`${version - 1}`), keys(`${version}`)]).toContainEqual(credentials);
      }
    }
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
