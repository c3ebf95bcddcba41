import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { mnistManifest } from "../measure/trained-run.ts";

/** A run as a user writes it. */
export type Manifest = Awaited<ReturnType<typeof mnistManifest>>;
type Fields = Readonly<Record<string, unknown>>;

const mnistSteps = { MNIST_STEPS: "1000000", MNIST_STEP_MS: "200", MNIST_EVALUATE_EVERY: "1000000" };
const small = { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "1Gi" } };
const retry = { failures: 3, backoff: { initialSeconds: 1, maxSeconds: 1 } };

/** The example, without its GPU, so that many fit on a small machine: it saves every two seconds. */
export async function trainingManifest(): Promise<Manifest> {
  const manifest = await mnistManifest({ env: mnistSteps, intervalSteps: 10 });
  return withSpec(withTrainer(manifest, { resources: small }), { retry });
}

/** A run whose trainer does one step and waits: enough for whatever ends it from outside. */
export async function idleManifest(): Promise<Manifest> {
  const program = await readFile(join(import.meta.dirname, "idle-trainer.ts"), "utf8");
  return withTrainer(await trainingManifest(), { args: ["--input-type=module", "--eval", program], env: [] });
}

/** A trainer that is this program of Node's, or part of one, and nothing else. */
export function running(program: string): (manifest: Manifest) => Manifest {
  const args = ["--input-type=module", "--eval", program];
  return (manifest) => withTrainer(manifest, { args, env: [] });
}

/** The run with other fields of its training container. */
export function withTrainer(manifest: Manifest, over: Fields): Manifest {
  const containers = manifest.spec.template.spec.containers.map((container) => ({ ...container, ...over }));
  return withPod(manifest, { containers });
}

/** The run with other fields of its pods. */
export function withPod(manifest: Manifest, over: Fields): Manifest {
  const { template } = manifest.spec;
  return withSpec(manifest, { template: { ...template, spec: { ...template.spec, ...over } } });
}

/** The run with other fields of its own. */
export function withSpec(manifest: Manifest, over: Fields): Manifest {
  return { ...manifest, spec: { ...manifest.spec, ...over } };
}

const hostname = "kubernetes.io/hostname";

/** On that node, whatever is said of it, or away from it. */
export function placed(manifest: Manifest, spare: string, place: "There" | "Elsewhere"): Manifest {
  if (place === "There")
    return withPod(manifest, {
      nodeSelector: { [hostname]: spare },
      tolerations: [{ operator: "Exists", effect: "NoSchedule" }],
    });
  const elsewhere = { matchExpressions: [{ key: hostname, operator: "NotIn", values: [spare] }] };
  const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [elsewhere] } };
  return withPod(manifest, { affinity: { nodeAffinity } });
}
