import { writeSync } from "node:fs";
import { bytesFile } from "../../src/file-source.ts";
import { healthy } from "../../src/health.ts";
import { saveCheckpoint } from "../../src/save.ts";
import { DirectoryStore } from "../../src/store/directory-store.ts";

/** A trainer that only saves: `save-steps.ts <root> <run uid> <attempt> <bytes> <step> [<step> ...]`. */
const [root = "", runUid = "", attempt = "", bytes = "", ...steps] = process.argv.slice(2);
const store = new DirectoryStore(root, runUid);

for (const step of steps.map(Number)) {
  const content = new Uint8Array(Number(bytes)).fill(step % 251);
  const files = [
    bytesFile("model.bin", "opaque", content),
    bytesFile("more/state.bin", "opaque", content.subarray(0, 100)),
  ];
  try {
    await saveCheckpoint(store, {
      runUid,
      attempt: Number(attempt),
      step,
      parent: null,
      files,
      metrics: [],
      health: healthy,
      producer: { name: "test", version: "1.0.0" },
    });
    writeSync(1, `saved ${step}\n`);
  } catch (error) {
    writeSync(1, `failed ${step} ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
  }
}
