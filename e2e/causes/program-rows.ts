import { expectedCause } from "../harness/expected-cause.ts";
import { running, withPod, withSpec, withTrainer } from "./manifests.ts";
import { interruption } from "./outside-deeds.ts";
import { type ClusterRow, ended, onCluster } from "./row.ts";

const exit3 = running("process.exit(3)");
const exit42 = running("process.exit(42)");
const overeat = running("const kept = []; setInterval(() => kept.push(Buffer.alloc(32 << 20, 1)), 20);");
const overgrow = running(`import { writeFileSync } from "node:fs";
writeFileSync("/scratch/file", Buffer.alloc(32 << 20));
setInterval(() => undefined, 60_000);`);
const oneMebibyte = { volumes: [{ name: "scratch", emptyDir: { sizeLimit: "1Mi" } }] };
const mounted = { volumeMounts: [{ name: "scratch", mountPath: "/scratch" }] };

/** A trainer that leaves this record and ends. */
function leaving(record: Readonly<Record<string, unknown>>, exitCode: number): ClusterRow["run"] {
  const fields = JSON.stringify({ ...record, checkpoint: `sha256:${"a".repeat(64)}` });
  return running(`import { writeFileSync } from "node:fs";
const { TRAININGRUN_ATTEMPT, TRAININGRUN_TERMINATION_LOG } = process.env;
writeFileSync(TRAININGRUN_TERMINATION_LOG, JSON.stringify({ ...${fields}, attempt: Number(TRAININGRUN_ATTEMPT) }));
process.exit(${exitCode});`);
}

/** A rule of the run's own on the exit code 42. */
function ruled(action: "Fail" | "Ignore"): ClusterRow["run"] {
  const backoff = { initialSeconds: 1, maxSeconds: 1 };
  return (manifest) => withSpec(exit42(manifest), { retry: { backoff, rules: [{ exitCodes: [42], action }] } });
}

/** What the program in the training container does by itself. */
export const programRows: readonly ClusterRow[] = [
  onCluster("the script trains to its last step", ended("Complete", "Nothing", ["Done"]), {
    trains: true,
    run: (manifest) => withTrainer(manifest, { env: [{ name: "MNIST_STEPS", value: "20" }] }),
  }),
  onCluster("the trainer exits with 3", ended("Crashed", "Failure", ["NonZeroExit"], 3), { run: exit3 }),
  onCluster("SIGKILL of the trainer", ended(expectedCause.SIGKILL, "Failure", ["NonZeroExit"], 137), {
    stage: "Training",
    deed: interruption("SIGKILL"),
  }),
  onCluster("a command that the image does not have", ended("Crashed", "Failure", ["StartError"], 128), {
    run: (manifest) => withTrainer(manifest, { command: ["/no/such/program"] }),
  }),
  onCluster("exit 0 without a done record", ended("Incomplete", "Failure", ["NoDoneRecord"], 0), { run: running("") }),
  onCluster("the memory limit of the training container", ended("OutOfMemory", "Failure", ["OOMKilled"], 137), {
    run: (manifest) => withTrainer(overeat(manifest), { resources: { limits: { memory: "160Mi" } } }),
  }),
  onCluster("the size limit of an emptyDir", ended("Crashed", "Failure", ["Evicted"]), {
    run: (manifest) => withPod(withTrainer(overgrow(manifest), mounted), oneMebibyte),
  }),
  onCluster("an exit code that a rule calls Fail", ended("ByRule", "Terminal", ["Fail"], 42), { run: ruled("Fail") }),
  onCluster("an exit code that a rule calls Ignore", ended("ByRule", "Disruption", ["Ignore"], 42), {
    run: ruled("Ignore"),
  }),
  onCluster("a trainer that cannot take its checkpoint up", ended("Incompatible", "Terminal", ["Incompatible"], 1), {
    run: leaving({ kind: "incompatible", message: "shape [2] against [3]" }, 1),
  }),
  onCluster("a done record that names what nobody has verified", ended("Unverified", "Nothing", ["NoVerdict"]), {
    run: leaving({ kind: "done", step: 1, metrics: [] }, 0),
  }),
  onCluster("a trainer that does no step any more", ended("Stalled", "Failure", ["NoStep"]), {
    run: (manifest) => withSpec(manifest, { stall: { timeoutSeconds: 30 } }),
  }),
];
