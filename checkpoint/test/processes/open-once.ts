import { appendRecordAfter } from "../../src/log/append.ts";
import { openDirectoryStore } from "../../src/store/directory-store.ts";

/** Pods that all believe to be attempt 1: `open-once.ts <root> <run uid> <pod uid prefix> <pods>`. */
const [root = "", runUid = "", prefix = "", pods = "1"] = process.argv.slice(2);

async function openOnce(podUid: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid });
  const draft = { kind: "open", attempt: 1, podUid, node: "n", base: null, generation: 1 } as const;
  const outcome = await appendRecordAfter(store, draft, { after: 0 });
  process.stdout.write(`${outcome.kind}\n`);
}

await Promise.all(Array.from({ length: Number(pods) }, (_, index) => openOnce(`${prefix}-${index}`)));
