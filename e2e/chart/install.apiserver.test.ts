import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { CommandFailed } from "../cluster/processes/command.ts";
import { type ChartServer, startChartServer } from "./chart-server.ts";
import { only, release, renderChart } from "./render.ts";

const account = `system:serviceaccount:${release.namespace}:trainingrun-trainingrun-operator`;
const ofTheChart = "app.kubernetes.io/part-of=trainingrun";
const directory = join(import.meta.dirname, "../../examples");
const examples = readdirSync(directory).filter((name) => name.endsWith(".yaml"));
const soon = { timeout: 15_000, interval: 200 };
let server: ChartServer;

beforeAll(async () => {
  server = await startChartServer();
  await server.helm("install", {});
}, 15 * 60_000);

afterAll(() => server.stop());

describe("the chart on a real API server", () => {
  test("is installed and upgraded, with every object valid in the server's eyes", async () => {
    await server.helm("upgrade", { controller: { workers: 8 } });
    const kinds = "deployment,service,serviceaccount,pdb";
    const found = await kubectl(["get", kinds, "-n", release.namespace, "-l", ofTheChart, "-o", "name"]);
    expect(found.split("\n").sort()).toEqual([
      "deployment.apps/trainingrun-trainingrun-operator",
      "poddisruptionbudget.policy/trainingrun-trainingrun-operator",
      "service/trainingrun-trainingrun-operator-metrics",
      "serviceaccount/trainingrun-trainingrun-operator",
      "serviceaccount/trainingrun-trainingrun-operator-release",
    ]);
  });

  test("gives the operator what the golden file says and nothing more", async () => {
    const golden: { rules: readonly Rule[]; leaseRules: readonly Rule[] } = parse(
      await readFile(join(import.meta.dirname, "golden/operator-role.yaml"), "utf8"),
    );
    expect(await rightsIn("team-a")).toEqual(golden.rules.map(asListed).sort());
    const here = [...golden.rules, ...golden.leaseRules];
    expect(await rightsIn(release.namespace)).toEqual(here.map(asListed).sort());
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

  test.each(["Deployment", "Job"])("has the pod of its %s accepted where Pod Security is restricted", async (kind) => {
    const { template } = only(await renderChart({}), kind).spec as { template: { metadata: object; spec: object } };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      ...template,
      metadata: { ...template.metadata, name: "of-the-chart" },
    };
    const output = await kubectl(
      ["create", "--dry-run=server", "-n", release.namespace, "-f", "-"],
      JSON.stringify(pod),
    );
    expect(output).toBe("pod/of-the-chart created (server dry run)");
  });

  test("with watchNamespaces binds the operator there and nowhere else", async () => {
    await server.helm("upgrade", { watchNamespaces: ["team-a"], watchNodes: false });
    // The server learns of new roles by a watch of its own, a moment later.
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-b" }), soon).toBe("no");
    await expect.poll(() => mayDo("list", "nodes"), soon).toBe("no");
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-a" }), soon).toBe("yes");
    await server.helm("upgrade", {});
    await expect.poll(() => mayDo("create", "pods", { namespace: "team-b" }), soon).toBe("yes");
  });
});

describe("every example", () => {
  test.each(examples)("%s is accepted, no field unknown", async (file) => {
    const args = ["apply", "--dry-run=server", "--validate=strict", "-n", "team-a", "-f", example(file)];
    expect(await kubectl(args)).toContain("trainingrun.trainingrun.dev/");
  });

  test("of the README is accepted as well", async () => {
    const readme = await readFile(join(directory, "../README.md"), "utf8");
    const manifests = [...readme.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text ?? "");
    expect(manifests).toHaveLength(1);
    const args = ["apply", "--dry-run=server", "--validate=strict", "-n", "team-b", "-f", "-"];
    expect(await kubectl(args, manifests[0])).toContain("trainingrun.trainingrun.dev/mnist");
  });

  test("is refused when a field is misspelt, so that the check above can fail", async () => {
    const text = (await readFile(example("mnist.yaml"), "utf8")).replace("interval:", "intervall:");
    const refused = kubectl(["apply", "--dry-run=server", "--validate=strict", "-n", "team-a", "-f", "-"], text);
    await expect(refused).rejects.toThrow('unknown field "spec.checkpoint.intervall"');
  });

  test.each(examples)("%s makes pods that restricted Pod Security accepts", async (file) => {
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
  });
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** What the operator may do in a namespace, beyond what everybody may, as `kubectl auth can-i --list` prints it. */
async function rightsIn(namespace: string): Promise<readonly string[]> {
  const listed = async (who: string) => {
    const text = await kubectl(["auth", "can-i", "--list", "--no-headers", "-n", namespace, "--as", who]);
    // As wide as its widest cell is each column, which differs from one to the other.
    return text.split("\n").map((line) => line.replaceAll(/\s+/g, " "));
  };
  const anybody = new Set(await listed(nobody));
  return (await listed(account)).filter((line) => !anybody.has(line)).sort();
}

/** An account without any role: what it may do, everybody may. */
const nobody = "system:serviceaccount:team-a:nobody";

/** A rule as `kubectl auth can-i --list` prints it. */
function asListed({ apiGroups, resources, resourceNames = [], verbs }: Rule): string {
  const [group] = apiGroups;
  const [resource = "", subresource] = (resources[0] ?? "").split("/");
  const qualified = group === "" ? resource : `${resource}.${group}`;
  return `${qualified}${subresource === undefined ? "" : `/${subresource}`} [] [${resourceNames.join(" ")}] [${verbs.join(" ")}]`;
}

function example(file: string): string {
  return join(directory, file);
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

function kubectl(args: readonly string[], input = ""): Promise<string> {
  return server.kubectl(args, input);
}
