import { appendRecordAfter } from "../../src/log/append.ts";
import { openDirectoryStore } from "../../src/store/directory-store.ts";

/** One of many pods that believe to be the same attempt: `open-once.ts <root> <run uid> <pod uid>`. */
const [root = "", runUid = "", podUid = ""] = process.argv.slice(2);
const store = await openDirectoryStore(root, { runUid });
const outcome = await appendRecordAfter(
  store,
  { kind: "open", attempt: 1, podUid, node: "n", base: null, generation: 1 },
  { after: 0 },
);
process.stdout.write(`${outcome.kind}\n`);
