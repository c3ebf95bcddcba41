import { execFileSync } from "node:child_process";
import { chmodSync, existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Why no image can be mounted here, or null where one can. */
export function whyNoLoopDevice(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "mounting an image needs root on Linux";
  for (const program of ["mkfs.ext4", "losetup", "mount", "umount"]) {
    try {
      execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore", env: withSbin });
    } catch {
      return `${program} is not installed`;
    }
  }
  try {
    run("losetup", ["--find"]);
    return null;
  } catch {
    return "the kernel has no free loop device";
  }
}

type Size = Readonly<{
  bytes: number;
  inodes?: number /** Where the image has less room than its size. */;
  roomBytes?: number;
}>;

/** A real ext4 on a loop device, mounted in a directory of its own; all of it goes with its disposal. */
export class LoopVolume implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #directory: string;
  readonly #device: string;
  readonly #backing: string | null;

  private constructor(directory: string, device: string, backing: string | null) {
    this.#directory = directory;
    this.#device = device;
    this.#backing = backing;
    this.path = join(directory, "volume");
  }

  /** Makes and mounts one; with `roomBytes` the device fails with EIO once so much of it is written. */
  static async create({ bytes, inodes, roomBytes }: Size): Promise<LoopVolume> {
    const directory = await mkdtemp(join(tmpdir(), "loop-volume-"));
    const backing = roomBytes === undefined ? null : join(directory, "backing");
    if (backing !== null) {
      await mkdir(backing);
      run("mount", ["-t", "tmpfs", "-o", `size=${roomBytes}`, "tmpfs", backing]);
    }
    const image = join(backing ?? directory, "image");
    await writeFile(image, "");
    await truncate(image, bytes);
    run("mkfs.ext4", [
      "-q",
      "-F",
      "-E",
      "lazy_itable_init=0,nodiscard",
      ...(inodes === undefined ? [] : ["-N", String(inodes)]),
      image,
    ]);
    const device = run("losetup", ["--find", "--show", image]).trim();
    const volume = new LoopVolume(directory, device, backing);
    await mkdir(volume.path);
    volume.mount();
    return volume;
  }

  /** Mounts it, which replays its journal. An error of the file system makes it read-only. */
  mount(): void {
    run("mount", ["-o", "errors=remount-ro", this.#device, this.path]);
  }

  unmount(): void {
    run("umount", [this.path]);
  }

  /** Makes it read-only while nobody writes. */
  remountReadOnly(): void {
    run("mount", ["-o", "remount,ro", this.path]);
  }

  /** Makes the file system meet an error of its own, now: it turns read-only under those who write. */
  async failFileSystem(): Promise<void> {
    const trigger = join("/sys/fs/ext4", basename(this.#device), "trigger_fs_error");
    chmodSync(trigger, 0o200);
    await writeFile(trigger, "planted by a test");
  }

  /** What a power cut does to a real file system: nothing that is in memory reaches the disk any more. */
  cutPower(): void {
    const noLogFlush = 2;
    const code = [
      "import fcntl, os, struct, sys",
      "volume = os.open(sys.argv[1], os.O_RDONLY)",
      `fcntl.ioctl(volume, 0x8004587d, struct.pack('I', ${noLogFlush}))`,
    ].join("\n");
    run("python3", ["-c", code, this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const steps: readonly [string, readonly string[]][] = [
      ["umount", [this.path]],
      ["losetup", ["--detach", this.#device]],
      ...(this.#backing === null ? [] : [["umount", [this.#backing]] as [string, string[]]]),
    ];
    const failed = steps.flatMap(([program, args]) => failureOf(program, args));
    if (failed.length > 0) throw new Error(`Cannot remove ${this.#device}: ${failed.join("; ")}`);
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Whether {@link LoopVolume.cutPower} has what it needs. */
export function canCutPower(): boolean {
  return existsSync("/usr/bin/python3");
}

const withSbin = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, {
    encoding: "utf8",
    env: withSbin,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
}

function failureOf(program: string, args: readonly string[]): string[] {
  try {
    run(program, args);
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
