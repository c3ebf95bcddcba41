import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/fixture.ts";
import { MountedAccess } from "./credentials.ts";

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
    expect(await new MountedAccess(directory).current()).toEqual({
      credentials: { accessKeyId: "id", secretAccessKey: "secret", sessionToken: null },
      authority: "certificate",
    });
  });

  test("belong together and are all there, whenever they are rotated meanwhile", async () => {
    const directory = await temporaryDirectory();
    mount(directory, 0);
    const access = new MountedAccess(directory);
    for (let version = 1; version <= 50; version += 1) {
      const reads = Promise.all(Array.from({ length: 8 }, () => access.current()));
      // A different moment of the reads each time.
      for (let turn = 0; turn < version % 10; turn += 1) await setImmediate();
      mount(directory, version);
      for (const { credentials } of await reads) {
        expect([keys(`${version - 1}`), keys(`${version}`)]).toContainEqual(credentials);
      }
      expect(await access.current()).toEqual({ credentials: keys(`${version}`), authority: null });
    }
  });

  test("are read once for as long as the kubelet leaves them where they are", async () => {
    const directory = await temporaryDirectory();
    mount(directory, 0);
    const access = new MountedAccess(directory);
    const first = await access.current();
    // No kubelet writes into a directory that the link leads to: who reads it again is told something else.
    await writeFile(join(directory, "..version-0", "secretAccessKey"), "another");
    expect(await access.current()).toBe(first);
    mount(directory, 1);
    expect(await access.current()).toEqual({ credentials: keys("1"), authority: null });
  });

  test("that no kubelet has put there are read each time", async () => {
    const directory = await temporaryDirectory();
    const access = new MountedAccess(directory);
    for (const version of ["0", "1"]) {
      for (const [file, text] of Object.entries(keys(version))) await writeFile(join(directory, file), text);
      expect(await access.current()).toEqual({ credentials: keys(version), authority: null });
    }
  });

  test("are asked for again where they were incomplete", async () => {
    const directory = await temporaryDirectory();
    mount(directory, 0);
    const access = new MountedAccess(directory);
    await rm(join(directory, "..version-0", "accessKeyId"));
    await expect(access.current()).rejects.toThrow("accessKeyId is not there or is empty");
    mount(directory, 1);
    expect((await access.current()).credentials).toEqual(keys("1"));
  });

  test("that are missing, empty or no files are named", async () => {
    const directory = await temporaryDirectory();
    const access = new MountedAccess(directory);
    const missing = (name: string) =>
      expect(access.current()).rejects.toThrow(`${join(directory, name)} is not there or is empty`);
    await missing("accessKeyId");
    await writeFile(join(directory, "accessKeyId"), "id");
    await writeFile(join(directory, "secretAccessKey"), " \n");
    await missing("secretAccessKey");
    await rm(join(directory, "secretAccessKey"));
    await mkdir(join(directory, "secretAccessKey"));
    await expect(access.current()).rejects.toMatchObject({
      problem: "CredentialsMissing",
      message: `Cannot read secretAccessKey in ${directory}: let the agent's user read the Secret's files`,
    });
  });
});
