import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { openObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import { describe, expect, test } from "vitest";
import { restore, resumedAt, runUid, save } from "../../../../checkpoint/test/fixture.ts";
import { mirror } from "../../../object-store/mirrored-run.ts";
import { fileReplacements } from "../../host/files.ts";
import { giveFiles } from "../../host/files-access.ts";
import { installHost } from "../../host/install.ts";
import { type Fate, type Journey, Network } from "../../host/network.ts";
import { SimProcess } from "../../host/process.ts";
import { Scheduler } from "../../host/scheduler.ts";
import { leaveUnsigned } from "../../host/unsigned-requests.ts";
import { plantTree } from "../disk/cut.ts";
import { Disk } from "../disk/disk.ts";
import { DiskView } from "../disk/disk-view.ts";
import { Bucket, type KeyRights } from "./bucket.ts";
import type { AskedOfStore } from "./http-face.ts";
import { serveBucketFrom } from "./store-process.ts";

installHost({ models: fileReplacements() });

const arrives = { kind: "arrives", afterMs: 3 } as const;

describe("a bucket on a simulated network, below the product's client and the package that signs", () => {
  test("has what the next node resumes from, in virtual time", async () => {
    const { told, elapsedMs } = await play(() => arrives);
    expect(told).toBe("restored 0, saved 10, restored 10 elsewhere");
    expect(elapsedMs).toBeLessThan(1_000);
  });

  test("is got over where replies are lost, after the client's patience", async () => {
    let answers = 0;
    const fate = ({ what }: Journey): Fate => {
      if (what === "answer") answers += 1;
      return what === "answer" && answers % 5 === 0 ? { kind: "lost" } : arrives;
    };
    const { told, elapsedMs } = await play(fate);
    expect(told).toBe("restored 0, saved 10, restored 10 elsewhere");
    expect(elapsedMs).toBeGreaterThan(30_000);
  });

  test("says that the clock of the node is wrong", async () => {
    const { told } = await play(() => arrives, { skewMs: 3_600_000 });
    expect(told).toMatch(/RequestTimeTooSkewed.*set the clock of this node/);
  });
});

describe("a store that is asked without signatures", () => {
  test("is asked the same, at the same instants, and says the same", async () => {
    const signed = await play(() => arrives);
    const unsigned = await play(() => arrives, { isSigned: false });
    expect(unsigned).toEqual(signed);
    expect(signed.asked.length).toBeGreaterThan(30);
  });

  test("still knows whose keys they are and what the time is there", async () => {
    const skewed = await play(() => arrives, { isSigned: false, skewMs: 3_600_000 });
    expect(skewed.told).toMatch(/RequestTimeTooSkewed.*set the clock of this node/);
    const strangers = await play(() => arrives, { isSigned: false, rights: new Map([["another", new Set()]]) });
    expect(strangers.told).toMatch(/InvalidAccessKeyId/);
  });
});

/** One attempt that saves and mirrors a step, and the next one on a volume that has nothing. */
async function runTwice(): Promise<string> {
  const objectStore = await openObjectStore({
    endpoint: "http://10.0.0.9:9000",
    bucket: "checkpoints",
    credentials: "/secret",
    runUid,
  });
  const [here, elsewhere] = ["/here", "/elsewhere"].map((root) => openDirectoryStore(root, { runUid }));
  if (here === undefined || elsewhere === undefined) throw new Error("Cannot run because there are no volumes");
  const first = resumedAt(await restore(await here, 1, { objectStore }));
  const { step } = (await save(await here, 1, 10)).manifest;
  await mirror({ from: await here, to: objectStore, attempt: 1 }, step);
  const second = resumedAt(await restore(await elsewhere, 2, { objectStore }));
  return `restored ${first}, saved ${step}, restored ${second} elsewhere`;
}

type Played = Readonly<{ told: string; elapsedMs: number; asked: readonly unknown[] }>;
type PlayOptions = Readonly<{ skewMs?: number; isSigned?: boolean; rights?: KeyRights }>;

/** One client on a node with the keys of the store, and the store; what the client said, when, and what the store was asked. */
async function play(
  fate: (journey: Journey) => Fate,
  { skewMs = 0, isSigned = true, ...options }: PlayOptions = {},
): Promise<Played> {
  const scheduler = new Scheduler({ seed: 1 });
  if (!isSigned) leaveUnsigned(scheduler);
  const clock = () => scheduler.epochMs + scheduler.now;
  const asked: unknown[] = [];
  const network = new Network(fate);
  const store = new SimProcess(scheduler, { name: "store" });
  network.join(store, "10.0.0.9");
  const bucket = new Bucket({ name: "checkpoints", clock, ...options });
  serveBucketFrom(store, { bucket, port: 9000, heard: (each) => asked.push([scheduler.now, unsignedPart(each)]) });
  const client = new SimProcess(scheduler, { name: "client", skewMs });
  network.join(client, "10.0.0.1");
  const disk = new Disk({ device: 1, clock });
  const keys = ["accessKeyId", "secretAccessKey"].map((name) => [`secret/${name}`, Buffer.from("key")] as const);
  plantTree(disk, new Map<string, Uint8Array | null>([["secret", null], ...keys]));
  giveFiles(client, new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }));
  let told = "it came to no end";
  let elapsedMs = 0;
  client.atEnd((ending) => {
    elapsedMs = scheduler.now;
    told = ending.kind === "returned" ? String(ending.value) : String("error" in ending ? ending.error : ending.why);
  });
  client.start(runTwice);
  while (client.state !== "dead" && (await scheduler.step()));
  return { told, elapsedMs, asked };
}

/** A request but for what only signing adds to it. */
function unsignedPart({ method, path, headers, body }: AskedOfStore) {
  const { authorization: _, "x-amz-content-sha256": __, "user-agent": ___, ...others } = headers;
  return { method, path, headers: others, body: Buffer.from(body).toString("base64") };
}
