import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ensureHelm, ensureKubernetes } from "../cluster/build/binaries.ts";
import { type ApiServer, startApiServer } from "../cluster/control-plane/api-server.ts";
import { CommandFailed, run } from "../cluster/processes/command.ts";
import { chartDirectory, only, release, renderChart } from "./render.ts";

const account = `system:serviceaccount:${release.namespace}:trainingrun-trainingrun-operator`;
const soon = { timeout: 15_000, interval: 200 };
const crd = "crd/trainingruns.trainingrun.dev";
let directory: string;
let api: ApiServer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "chart-"));
  api = await startApiServer({ directory });
  for (const namespace of [release.namespace, "team-a", "team-b"]) await kubectl(["create", "namespace", namespace]);
  const restricted = "pod-security.kubernetes.io/enforce=restricted";
  await kubectl(["label", "namespace", release.namespace, "team-a", restricted]);
  // No controller runs here that would make it.
  await kubectl(["create", "serviceaccount", "default", "-n", "team-a"]);
}, 15 * 60_000);

afterAll(async () => {
  await api.stop();
  await rm(directory, { recursive: true, force: true });
});

describe("the chart on a real API server", () => {
  test("is installed and upgraded, with every object valid in the server's eyes", async () => {
    await helm(["install"], {});
    await helm(["upgrade"], { podDisruptionBudget: { enabled: true }, controller: { workers: 8 } });
    const found = await kubectl([
      "get",
      "deployment,service,serviceaccount,pdb",
      "-n",
      release.namespace,
      "-o",
      "name",
    ]);
    expect(found.split("\n").sort()).toEqual([
      "deployment.apps/trainingrun-trainingrun-operator",
      "poddisruptionbudget.policy/trainingrun-trainingrun-operator",
      "service/trainingrun-trainingrun-operator-metrics",
      "serviceaccount/trainingrun-trainingrun-operator",
    ]);
  });

  test("gives the operator what the golden file says and nothing more", async () => {
    const golden: { rules: readonly Rule[] } = parse(
      await readFile(join(import.meta.dirname, "golden/operator-role.yaml"), "utf8"),
    );
    const listed = await kubectl(["auth", "can-i", "--list", "--no-headers", "-n", "team-a", "--as", account]);
    const anybody = await kubectl(["auth", "can-i", "--list", "--no-headers", "-n", "team-a", "--as", nobody]);
    const ours = listed.split("\n").filter((line) => !anybody.split("\n").includes(line));
    expect(ours.map((line) => line.replaceAll(/\s+/g, " ")).sort()).toEqual(golden.rules.map(asListed).sort());
  });

  test.each([
    { what: "read a secret", verb: "get", resource: "secrets" },
    { what: "run a command in a pod", verb: "create", resource: "pods", subresource: "exec" },
    { what: "replace a run", verb: "update", resource: "trainingruns" },
    { what: "write a role", verb: "create", resource: "roles" },
    { what: "delete a node", verb: "delete", resource: "nodes" },
  ])("does not let the operator $what", async ({ verb, resource, subresource }) => {
    expect(await mayDo(verb, resource, { subresource })).toBe("no");
  });

  test("has its pod accepted where Pod Security is restricted", async () => {
    const deployment = only(await renderChart({}), "Deployment");
    const { template } = deployment.spec as { template: { metadata: object; spec: object } };
    const pod = { apiVersion: "v1", kind: "Pod", ...template, metadata: { ...template.metadata, name: "operator" } };
    const output = await kubectl(
      ["create", "--dry-run=server", "-n", release.namespace, "-f", "-"],
      JSON.stringify(pod),
    );
    expect(output).toBe("pod/operator created (server dry run)");
  });

  test("with watchNamespaces binds the operator there and nowhere else", async () => {
    await helm(["upgrade"], { watchNamespaces: ["team-a"], watchNodes: false });
    // The server learns of new roles by a watch of its own, a moment later.
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-b" }), soon).toBe("no");
    await expect.poll(() => mayDo("list", "nodes"), soon).toBe("no");
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-a" }), soon).toBe("yes");
    await helm(["upgrade"], {});
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-b" }), soon).toBe("yes");
  });

  test("leaves the CRD and the runs behind when it is uninstalled, and takes them back when it is installed", async () => {
    await kubectl(["apply", "-n", "team-a", "-f", example("mnist.yaml")]);
    await helm(["uninstall"]);
    expect(await kubectl(["get", "trainingruns", "-n", "team-a", "-o", "name"])).toBe(
      "trainingrun.trainingrun.dev/mnist",
    );
    await helm(["install"], {});
    await expect(kubectl(["get", crd, "-o", "name"])).resolves.toContain("trainingruns.trainingrun.dev");
  });

  test("takes the CRD with it where crds.keep is false", async () => {
    await helm(["upgrade"], { crds: { keep: false } });
    await helm(["uninstall"]);
    await expect(kubectl(["wait", "--for=delete", crd, "--timeout=30s"])).resolves.toBeDefined();
    await helm(["install"], {});
    await kubectl(["wait", "--for=condition=Established", crd, "--timeout=30s"]);
  });
});

describe("every example", () => {
  test.each(["mnist.yaml", "spot.yaml", "existing-claim.yaml"])("%s is accepted, no field unknown", async (file) => {
    const args = ["apply", "--dry-run=server", "--validate=strict", "-n", "team-a", "-f", example(file)];
    expect(await kubectl(args)).toContain("trainingrun.trainingrun.dev/");
  });

  test("is refused when a field is misspelt, so that the check above can fail", async () => {
    const text = (await readFile(example("mnist.yaml"), "utf8")).replace("interval:", "intervall:");
    const refused = kubectl(["apply", "--dry-run=server", "--validate=strict", "-n", "team-a", "-f", "-"], text);
    await expect(refused).rejects.toThrow('unknown field "spec.checkpoint.intervall"');
  });

  test.each(["mnist.yaml", "spot.yaml", "existing-claim.yaml"])(
    "%s makes pods that restricted Pod Security accepts",
    async (file) => {
      const documents = (await readFile(example(file), "utf8")).split(/^---$/m).map((text) => parse(text));
      const training = documents.find(({ kind }) => kind === "TrainingRun");
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "trainer" },
        spec: { ...training.spec.template.spec },
      };
      // The class need not be on the server for the question that is asked here.
      delete pod.spec.priorityClassName;
      const output = await kubectl(["create", "--dry-run=server", "-n", "team-a", "-f", "-"], JSON.stringify(pod));
      expect(output).toBe("pod/trainer created (server dry run)");
    },
  );
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** An account without any role: what it may do, everybody may. */
const nobody = "system:serviceaccount:team-a:nobody";

/** A rule as `kubectl auth can-i --list` prints it. */
function asListed({ apiGroups, resources, verbs }: Rule): string {
  const [group] = apiGroups;
  const [resource = "", subresource] = (resources[0] ?? "").split("/");
  const qualified = group === "" ? resource : `${resource}.${group}`;
  return `${qualified}${subresource === undefined ? "" : `/${subresource}`} [] [] [${verbs.join(" ")}]`;
}

function example(file: string): string {
  return join(import.meta.dirname, "../../examples", file);
}

async function mayDo(
  verb: string,
  resource: string,
  { namespace = "team-a", subresource = "" }: { namespace?: string; subresource?: string | undefined } = {},
): Promise<string> {
  const question = [verb, resource, `--subresource=${subresource}`, "-n", namespace, "--as", account];
  try {
    return await kubectl(["auth", "can-i", ...question]);
  } catch (error) {
    // kubectl says no with its exit code as well.
    if (error instanceof CommandFailed && /\| no$/m.test(error.message)) return "no";
    throw error;
  }
}

async function kubectl(args: readonly string[], input = ""): Promise<string> {
  const all = ["kubectl", "--kubeconfig", api.kubeconfigPath, ...args];
  return (await run(await ensureKubernetes(), all, { input })).trim();
}

async function helm([command = ""]: readonly string[], values?: unknown): Promise<void> {
  const chart = values === undefined ? [] : [chartDirectory, "--values", "-"];
  // Without it an upgrade to no values at all means the values of before.
  if (command === "upgrade") chart.push("--reset-values");
  const target = ["--namespace", release.namespace, "--kubeconfig", api.kubeconfigPath];
  await run(await ensureHelm(), [command, release.name, ...chart, ...target], {
    input: JSON.stringify(values ?? {}),
    env: { HELM_CACHE_HOME: directory, HELM_CONFIG_HOME: directory, HELM_DATA_HOME: directory },
  });
}
