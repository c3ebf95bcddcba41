import { startProcessNode } from "../cluster/process-node/process-node.ts";

// A node in a process of its own, for tests that kill it. Handles no signal: what becomes of the containers then is
// the node's business.
const [, , name = "", kubeconfigPath = "", directory = "", address = ""] = process.argv;
await startProcessNode({
  name,
  kubeconfigPath,
  directory,
  address,
  capacity: { cpu: "8", memory: "16Gi", pods: "50" },
  images: { sh: { entrypoint: ["/bin/sh", "-c"], env: {}, workingDirectory: "/" } },
});
console.log("ready");
