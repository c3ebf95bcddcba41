import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ChartServer, startChartServer } from "./chart-server.ts";
import { playJob } from "./play-job.ts";
import { release } from "./render.ts";

const soon = { timeout: 30_000, interval: 200 };
const crd = "crd/trainingruns.trainingrun.dev";
const operator = "trainingrun-trainingrun-operator";
const leaseOfIt = ["lease", operator, "-n", release.namespace];
const job = `${operator}-release`;
const ours = { run: "trainingrun.dev/final-save", pod: "trainingrun.dev/accounting" };
let server: ChartServer;

beforeAll(async () => {
  server = await startChartServer();
}, 15 * 60_000);

afterAll(() => server.stop());

describe("helm uninstall, with the Job of its hook played as a cluster would run it", () => {
  afterEach(async () => {
    for (const namespace of ["team-a", "team-b"]) {
      await server.kubectl(["delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0", "--wait=false"]);
    }
  });

  describe("where two teams have a run with a pod each", () => {
    beforeEach(async () => {
      await server.helm("install", {});
      for (const team of ["team-a", "team-b"]) {
        await makeRun(team);
        await makePod(team);
      }
    });

    test("first ends the operator, then takes its finalizers off, and leaves everything else as it is", async () => {
      await makeOperatorPod();
      await makeLease();
      await setFinalizers("trainingrun", "team-b", [ours.run]);
      await server.kubectl(["delete", "trainingrun", "mnist", "-n", "team-b", "--wait=false"]);
      const uninstalled = server.helm("uninstall");
      const played = uninstallJob();
      await expect
        .poll(() => read(["deployment", operator, "-n", release.namespace], "{.spec.replicas}"), soon)
        .toBe("0");
      // While its pod is there, nothing is taken off that it could put on again.
      expect(await finalizersOf("pod", "team-a")).toContain(ours.pod);
      expect(await read(leaseOfIt, "{.metadata.name}")).toBe(operator);
      await server.kubectl(["delete", "pod", "operator", "-n", release.namespace, "--force", "--grace-period=0"]);
      const [log] = await Promise.all([played, uninstalled]);
      expect(log).toContain('"message":"nothing is held any more","runs":2,"pods":2');
      expect(await read([...leaseOfIt, "--ignore-not-found"], "{.metadata.name}")).toBe("");
      // The run that was deleted is gone; the other one stands, with the CRD.
      expect(await server.kubectl(["get", "trainingruns", "-A", "-o", "name"])).toBe(
        "trainingrun.trainingrun.dev/mnist",
      );
      expect(await finalizersOf("trainingrun", "team-a")).toEqual(["example.com/theirs"]);
      for (const team of ["team-a", "team-b"]) {
        expect(await finalizersOf("pod", team)).toEqual(["example.com/theirs"]);
        expect(await read(["pod", "mnist-1-0", "-n", team], "{.metadata.deletionTimestamp}")).toBe("");
        await setFinalizers("pod", team, []);
      }
      await setFinalizers("trainingrun", "team-a", []);
    });

    test("takes the CRD and every run with it where crds.keep is false", async () => {
      await freeOfTheirs();
      await server.helm("upgrade", { crds: { keep: false } });
      await Promise.all([server.helm("uninstall"), uninstallJob()]);
      await expect(server.kubectl(["wait", "--for=delete", crd, "--timeout=30s"])).resolves.toBeDefined();
    });

    test("works in the watched namespaces alone, and is not stopped by one that is gone", async () => {
      await freeOfTheirs();
      await server.kubectl(["create", "namespace", "team-c"]);
      await server.helm("upgrade", { watchNamespaces: ["team-a", "team-c"], watchNodes: false });
      await server.kubectl(["delete", "rolebindings,roles", "--all", "-n", "team-c"]);
      await endNamespace("team-c");
      const [log] = await Promise.all([uninstallJob(), server.helm("uninstall")]);
      expect(log).toContain("a namespace is left out");
      for (const kind of ["trainingrun", "pod"] as const) {
        expect(await finalizersOf(kind, "team-a")).toEqual([]);
        expect(await finalizersOf(kind, "team-b")).not.toEqual([]);
        await setFinalizers(kind, "team-b", []);
      }
    });

    test("fails in words where an object is refused, lets the others go, and goes on when it is repeated", async () => {
      await freeOfTheirs();
      await forbidChangesOfPods("team-a");
      const [uninstalled, played] = await Promise.allSettled([server.helm("uninstall"), uninstallJob()]);
      expect(uninstalled.status).toBe("rejected");
      expect(played).toMatchObject({ reason: { message: expect.stringContaining("not while the test watches") } });
      expect(await finalizersOf("pod", "team-a")).toEqual([ours.pod]);
      expect(await finalizersOf("pod", "team-b")).toEqual([]);
      await allowChangesOfPods("team-a");
      await Promise.all([server.helm("uninstall"), uninstallJob()]);
      expect(await finalizersOf("pod", "team-a")).toEqual([]);
    });
  });

  test("is not in the way where nothing was ever started, nor even a CRD installed", async () => {
    await server.kubectl(["delete", crd, "--ignore-not-found", "--timeout=30s"]);
    await server.helm("install", { crds: { enabled: false } });
    const [, log] = await Promise.all([server.helm("uninstall"), uninstallJob()]);
    expect(log).toContain('"runs":0,"pods":0');
  });
});

/** Waits for the Job, runs what it says and returns its log. One that failed before is replaced by Helm first. */
async function uninstallJob(): Promise<string> {
  const running = "{.metadata.name}{range .status.conditions[*]} {.type}{end}";
  await expect.poll(() => read(["job", job, "-n", release.namespace, "--ignore-not-found"], running), soon).toBe(job);
  return playJob(server, job);
}

async function makeRun(namespace: string): Promise<void> {
  const claimTemplate = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
  const run = {
    apiVersion: "trainingrun.dev/v1alpha1",
    kind: "TrainingRun",
    metadata: { name: "mnist", finalizers: [ours.run, "example.com/theirs"] },
    spec: {
      template: { spec: { containers: [{ name: "trainer", image: "trainer:1" }] } },
      checkpoint: { volume: { claimTemplate } },
    },
  };
  await expect
    .poll(() => server.kubectl(["apply", "-n", namespace, "-f", "-"], JSON.stringify(run)).catch(String), soon)
    .toContain("trainingrun.trainingrun.dev/mnist");
}

/** Without the labels that the operator gave it: somebody took them. */
async function makePod(namespace: string): Promise<void> {
  await create(namespace, { name: "mnist-1-0", finalizers: ["example.com/theirs", ours.pod] });
}

async function makeOperatorPod(): Promise<void> {
  const selector = await read(["deployment", operator, "-n", release.namespace], "{.spec.selector.matchLabels}");
  const labels = z.record(z.string(), z.string()).parse(JSON.parse(selector));
  await create(release.namespace, { name: "operator", labels });
}

/** As the operator makes it for itself. */
async function makeLease(): Promise<void> {
  const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: operator } };
  await server.kubectl(["create", "-n", release.namespace, "-f", "-"], JSON.stringify(lease));
}

async function create(namespace: string, metadata: object): Promise<void> {
  const securityContext = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
  };
  const spec = { containers: [{ name: "main", image: "image:1", securityContext }] };
  const pod = { apiVersion: "v1", kind: "Pod", metadata, spec };
  await server.kubectl(["create", "-n", namespace, "-f", "-"], JSON.stringify(pod));
}

/** Takes the finalizer of somebody else off everything. */
async function freeOfTheirs(): Promise<void> {
  for (const namespace of ["team-a", "team-b"]) {
    for (const kind of ["trainingrun", "pod"] as const) {
      const left = (await finalizersOf(kind, namespace)).filter((finalizer) => finalizer !== "example.com/theirs");
      await setFinalizers(kind, namespace, left);
    }
  }
}

async function setFinalizers(kind: "trainingrun" | "pod", namespace: string, left: readonly string[]): Promise<void> {
  const patch = JSON.stringify({ metadata: { finalizers: left } });
  await server.kubectl(["patch", kind, nameOf(kind), "-n", namespace, "--type=merge", "-p", patch]);
}

async function finalizersOf(kind: "trainingrun" | "pod", namespace: string): Promise<readonly string[]> {
  const text = await read([kind, nameOf(kind), "-n", namespace], "{.metadata.finalizers}");
  return z.array(z.string()).parse(JSON.parse(text || "[]"));
}

function nameOf(kind: "trainingrun" | "pod"): string {
  return kind === "pod" ? "mnist-1-0" : "mnist";
}

function read(what: readonly string[], path: string): Promise<string> {
  return server.kubectl(["get", ...what, "-o", `jsonpath=${path}`]);
}

/** What the namespace controller does in the end. */
async function endNamespace(name: string): Promise<void> {
  await server.kubectl(["delete", "namespace", name, "--wait=false"]);
  const namespace = z.looseObject({}).parse(JSON.parse(await server.kubectl(["get", "namespace", name, "-o", "json"])));
  const ended = JSON.stringify({ ...namespace, spec: { finalizers: [] } });
  await server.kubectl(["replace", "--raw", `/api/v1/namespaces/${name}/finalize`, "-f", "-"], ended);
}

const policy = "not-while-the-test-watches";

async function forbidChangesOfPods(namespace: string): Promise<void> {
  const matchResources = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } } };
  const kind = "ValidatingAdmissionPolicy";
  const objects = [
    {
      kind,
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["pods"] }],
        },
        validations: [{ expression: "false", reason: "Forbidden", message: "not while the test watches" }],
      },
    },
    { kind: `${kind}Binding`, spec: { policyName: policy, validationActions: ["Deny"], matchResources } },
  ];
  for (const object of objects) {
    const whole = { apiVersion: "admissionregistration.k8s.io/v1", metadata: { name: policy }, ...object };
    await server.kubectl(["create", "-f", "-"], JSON.stringify(whole));
  }
  await expect.poll(() => tryToChange(namespace), soon).toContain("not while the test watches");
}

async function allowChangesOfPods(namespace: string): Promise<void> {
  for (const kind of ["validatingadmissionpolicybinding", "validatingadmissionpolicy"]) {
    await server.kubectl(["delete", kind, policy]);
  }
  await expect.poll(() => tryToChange(namespace), soon).toContain("labeled");
}

function tryToChange(namespace: string): Promise<string> {
  return server.kubectl(["label", "pod", "mnist-1-0", "tried=it", "--dry-run=server", "-n", namespace]).catch(String);
}
