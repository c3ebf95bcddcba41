import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { ProcessNode } from "../cluster/process-node/process-node.ts";
import { identify } from "../cluster/processes/process-identity.ts";
import { containerOf, type PodStatus, ProcessNodeCluster, script } from "./process-node-cluster.ts";

const finalizer = "test.trainingrun.dev/hold";
const patient = "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done";
const isRunning = (status: PodStatus) => status.phase === "Running";
const isOver = (status: PodStatus) => status.phase === "Succeeded" || status.phase === "Failed";

/** What the kernel says that a process does: R, S, T for stopped. Linux only. */
const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0];

async function until(isSo: () => boolean): Promise<void> {
  await vi.waitUntil(isSo, { timeout: 25_000, interval: 20 });
}

let cluster: ProcessNodeCluster;
let node: ProcessNode;

beforeAll(async () => {
  cluster = await ProcessNodeCluster.start();
  node = await cluster.startNode();
}, 120_000);

afterAll(async () => {
  await node?.stop();
  await cluster?.stop();
}, 60_000);

describe("a pod on a process node", () => {
  test("succeeds when its containers do, with variables expanded and mounts where the program looks for them", async () => {
    await cluster.createPod("done", {
      restartPolicy: "Never",
      initContainers: [
        script("prepare", "echo $(WORD) > /data/word", {
          env: [{ name: "WORD", value: "hello" }],
          volumeMounts: [{ name: "data", mountPath: "/data" }],
        }),
      ],
      containers: [
        script("main", 'echo "$(cat $FILE) $POD $NODE $IP" > $LOG', {
          env: [
            { name: "FILE", value: "/data/word" },
            { name: "LOG", value: "/dev/termination-log" },
            { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
            { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
            { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
          ],
          volumeMounts: [{ name: "data", mountPath: "/data" }],
        }),
      ],
      volumes: [{ name: "data", emptyDir: {} }],
    });
    const pod = await cluster.pod("done", isOver);
    expect(pod.status?.phase).toBe("Succeeded");
    expect(containerOf(pod, "main")?.state.terminated).toMatchObject({
      reason: "Completed",
      exitCode: 0,
      message: `hello done ${node.name} ${pod.status?.podIP}\n`,
    });
    expect(containerOf(pod, "prepare")).toMatchObject({ ready: true, state: { terminated: { exitCode: 0 } } });
  });

  test("starts a sidecar before the main container and ends it after", async () => {
    const trace = join(cluster.directory, "order");
    const log = (word: string) => `echo ${word} >> ${trace}`;
    await cluster.createPod("order", {
      restartPolicy: "Never",
      initContainers: [
        script("first", log("first")),
        script(
          "sidecar",
          `${log("sidecar")}; trap '${log("sidecar-end")}; exit 0' TERM; while :; do sleep 0.05; done`,
          {
            restartPolicy: "Always",
            startupProbe: { exec: { command: ["/bin/sh", "-c", `grep -q sidecar ${trace}`] }, periodSeconds: 1 },
          },
        ),
        script("last", log("last")),
      ],
      containers: [script("main", log("main"))],
    });
    const pod = await cluster.pod("order", isOver);
    expect(pod.status?.phase).toBe("Succeeded");
    expect(readFileSync(trace, "utf8").split("\n")).toEqual(["first", "sidecar", "last", "main", "sidecar-end", ""]);
  });

  test("finds its volumes: a part of a claim, configuration, secrets, and its account's token", async () => {
    const [claimed, pv] = [join(cluster.directory, "claimed"), `pv-${cluster.namespace}`];
    const storage = { accessModes: ["ReadWriteMany"], storageClassName: "" };
    const post = (path: string, body: object) => cluster.client.call({ method: "POST", path, body });
    await post("/api/v1/persistentvolumes", {
      metadata: { name: pv },
      spec: { ...storage, capacity: { storage: "1Gi" }, hostPath: { path: claimed } },
    });
    await post(cluster.path("persistentvolumeclaims"), {
      metadata: { name: "claim" },
      spec: { ...storage, volumeName: pv, resources: { requests: { storage: "1Gi" } } },
    });
    // Bound before the pod asks for it: the binder may need its next resync, 15 s away, and the scheduler one more look.
    await cluster.until("/api/v1", "persistentvolumeclaims", "claim", (claim) => claim.status?.phase === "Bound");
    await post(cluster.path("configmaps"), { metadata: { name: "config" }, data: { one: "1", two: "2" } });
    await post(cluster.path("secrets"), { metadata: { name: "secret" }, stringData: { word: "hush" } });
    const text = `cat $CONFIG/renamed $SECRET/word > $WORK/claim/seen; ls $CONFIG >> $WORK/claim/seen
      grep -q "server: https://$KUBERNETES_SERVICE_HOST:" $KUBECONFIG && test -s /var/run/secrets/kubernetes.io/serviceaccount/token`;
    const at = (name: string, mountPath: string, more: object = {}) => ({ name, mountPath, ...more });
    await cluster.createPod("volumes", {
      restartPolicy: "Never",
      containers: [
        script("main", text, {
          env: [
            { name: "CONFIG", value: "/config" },
            { name: "SECRET", value: "/secret" },
            { name: "WORK", value: "/scratch" },
          ],
          volumeMounts: [
            at("work", "/scratch"),
            at("claim", "/scratch/claim", { subPath: "run-1" }),
            at("config", "/config"),
            at("secret", "/secret"),
          ],
        }),
      ],
      volumes: [
        { name: "work", emptyDir: {} },
        { name: "claim", persistentVolumeClaim: { claimName: "claim" } },
        { name: "config", configMap: { name: "config", items: [{ key: "one", path: "renamed" }] } },
        { name: "secret", secret: { secretName: "secret" } },
      ],
    });
    const pod = await cluster.pod("volumes", isOver);
    expect(pod.status?.phase).toBe("Succeeded");
    expect(readFileSync(join(claimed, "run-1", "seen"), "utf8")).toBe("1hushrenamed\n");
    await cluster.client.call({ method: "DELETE", path: `/api/v1/persistentvolumes/${pv}` });
  });

  test("waits for a claim that is not there, and says so in an event", async () => {
    await cluster.createPod("unmounted", {
      nodeName: node.name,
      containers: [script("main", "true")],
      volumes: [{ name: "data", persistentVolumeClaim: { claimName: "absent" } }],
    });
    const event = await cluster.event("unmounted");
    expect(event).toMatchObject({
      reason: "FailedMount",
      message: 'MountVolume.SetUp failed: persistentvolumeclaim "absent" not found',
    });
    await cluster.deletePodAndWait("unmounted");
  });

  test("is ready when its probe is answered, and restarted when its liveness probe is not", async () => {
    const program = `node -e 'require("node:http").createServer((q, r) => {
      if (q.url === "/hang") process.healthy = false;
      r.statusCode = process.healthy === false ? 500 : 200; r.end();
    }).listen(9464, process.env.IP)'`;
    const httpGet = { path: "/healthz", port: "agent" };
    await cluster.createPod("probed", {
      terminationGracePeriodSeconds: 1,
      containers: [
        script("main", `exec ${program}`, {
          env: [{ name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }],
          ports: [{ name: "agent", containerPort: 9464 }],
          startupProbe: { httpGet, periodSeconds: 1, failureThreshold: 30 },
          readinessProbe: { httpGet, periodSeconds: 1 },
          livenessProbe: { httpGet, periodSeconds: 1, failureThreshold: 1 },
        }),
      ],
    });
    const pod = await cluster.pod("probed", (status) => containerOf(status, "main")?.ready === true);
    expect(pod.status?.conditions).toContainEqual(expect.objectContaining({ type: "Ready", status: "True" }));
    await fetch(`http://${pod.status?.podIP}:9464/hang`);
    await cluster.pod("probed", (status) => containerOf(status, "main")?.restartCount === 1);
    await cluster.deletePodAndWait("probed");
  });

  test("does not start its main container when an init container fails, and ends its sidecar", async () => {
    await cluster.createPod("stillborn", {
      restartPolicy: "Never",
      initContainers: [script("sidecar", patient, { restartPolicy: "Always" }), script("check", "exit 9")],
      containers: [script("main", "true")],
    });
    const pod = await cluster.pod("stillborn", isOver);
    expect(pod.status?.phase).toBe("Failed");
    expect(containerOf(pod, "check")?.state.terminated).toMatchObject({ exitCode: 9 });
    expect(containerOf(pod, "sidecar")?.state.terminated).toMatchObject({ exitCode: 143 });
    expect(containerOf(pod, "main")?.state).toEqual({ waiting: { reason: "PodInitializing" } });
  });

  test("restarts a sidecar that ends, even where nothing else is restarted", async () => {
    const uid = await cluster.createPod("resilient", {
      restartPolicy: "Never",
      initContainers: [script("sidecar", patient, { restartPolicy: "Always" })],
      containers: [script("main", patient)],
    });
    await cluster.pod("resilient", isRunning);
    node.kill(uid, "sidecar", "SIGKILL");
    const pod = await cluster.pod("resilient", (status) => containerOf(status, "sidecar")?.restartCount === 1);
    expect(containerOf(pod, "sidecar")?.lastState.terminated).toMatchObject({ exitCode: 137, reason: "Error" });
    node.kill(uid, "main", "SIGINT");
    expect((await cluster.pod("resilient", isOver)).status?.phase).toBe("Failed");
  });

  test("fails with the exit code and the end of the log when its program does", async () => {
    await cluster.createPod("crash", {
      restartPolicy: "Never",
      containers: [
        script("main", "echo out of cheese; exit 42", { terminationMessagePolicy: "FallbackToLogsOnError" }),
      ],
    });
    const pod = await cluster.pod("crash", isOver);
    expect(pod.status?.phase).toBe("Failed");
    expect(containerOf(pod, "main")?.state.terminated).toMatchObject({
      reason: "Error",
      exitCode: 42,
      message: "out of cheese\n",
    });
  });

  test("is restarted with a back-off when its policy says so, and its previous log stays readable", async () => {
    await cluster.createPod("again", { restartPolicy: "Always", containers: [script("main", "echo run; exit 7")] });
    const pod = await cluster.pod(
      "again",
      (status) =>
        containerOf(status, "main")?.state.waiting !== undefined && containerOf(status, "main")?.restartCount === 1,
    );
    expect(containerOf(pod, "main")).toMatchObject({
      restartCount: 1,
      state: { waiting: { reason: "CrashLoopBackOff" } },
      lastState: { terminated: { exitCode: 7 } },
    });
    await cluster.deletePodAndWait("again");
  });

  test("waits with the kubelet's reasons for an image, a configuration and a claim that are not there", async () => {
    await cluster.createPod("blocked", {
      containers: [
        { name: "image", image: "registry.example/none:1" },
        { name: "name", image: "Not An Image" },
        script("config", "true", { envFrom: [{ configMapRef: { name: "absent" } }] }),
      ],
    });
    const reason = (status: PodStatus, name: string) => containerOf(status, name)?.state.waiting?.reason;
    await cluster.pod("blocked", (status) => reason(status, "image") === "ErrImagePull");
    const pod = await cluster.pod(
      "blocked",
      (status) => reason(status, "image") === "ImagePullBackOff" && reason(status, "config") !== "ContainerCreating",
    );
    expect(pod.status?.phase).toBe("Pending");
    expect(pod.status?.containerStatuses?.map(({ name, state }) => [name, state.waiting?.reason])).toEqual([
      ["image", "ImagePullBackOff"],
      ["name", "InvalidImageName"],
      ["config", "CreateContainerConfigError"],
    ]);
    await cluster.deletePodAndWait("blocked");
  });
});

describe("the end of a pod", () => {
  test("is the hook, SIGTERM to the main container, then to the sidecars, last first, and the final status is written before the object goes", async () => {
    const trace = join(cluster.directory, "end");
    const onTerm = (word: string, code: number) =>
      `trap 'echo ${word} >> ${trace}; exit ${code}' TERM; touch ${trace}-${word}; while :; do sleep 0.05; done`;
    await cluster.createPod(
      "ending",
      {
        restartPolicy: "Never",
        initContainers: [
          script("outer", onTerm("outer", 0), { restartPolicy: "Always" }),
          script("inner", onTerm("inner", 0), { restartPolicy: "Always" }),
        ],
        containers: [
          script("main", onTerm("main", 143), {
            lifecycle: { preStop: { exec: { command: ["/bin/sh", "-c", `echo hook >> ${trace}`] } } },
          }),
        ],
      },
      { finalizers: [finalizer] },
    );
    await cluster.pod("ending", isRunning);
    await until(() => ["outer", "inner", "main"].every((word) => existsSync(`${trace}-${word}`)));
    await cluster.deletePod("ending");
    const pod = await cluster.pod("ending", isOver);
    expect(pod.status?.phase).toBe("Failed");
    expect(containerOf(pod, "main")?.state.terminated).toMatchObject({ exitCode: 143, reason: "Error" });
    expect(readFileSync(trace, "utf8")).toBe("hook\nmain\ninner\nouter\n");
    const release = { metadata: { finalizers: [] } };
    await cluster.podGoneAfter("ending", () => {
      return cluster.client.call({ method: "PATCH", path: cluster.path("pods/ending"), body: release });
    });
    expect(await cluster.find(cluster.path("pods/ending"))).toBeUndefined();
  });

  test("is SIGKILL to all processes when the grace period is over", async () => {
    const pidFile = join(cluster.directory, "stubborn-child");
    await cluster.createPod("stubborn", {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [script("main", `trap '' TERM; sleep 300 & echo $! > ${pidFile}; while :; do sleep 0.05; done`)],
    });
    await cluster.pod("stubborn", isRunning);
    await until(() => existsSync(pidFile));
    const last = await cluster.deletePodAndWait("stubborn");
    expect(last && containerOf(last, "main")?.state.terminated).toMatchObject({ exitCode: 137 });
    expect(identify(Number(readFileSync(pidFile, "utf8")))).toBeUndefined();
  });

  test("comes through the Eviction API with the condition that the API server set", async () => {
    await cluster.createPod("evicted", { restartPolicy: "Never", containers: [script("main", patient)] });
    await cluster.pod("evicted", isRunning);
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "evicted" } };
    const last = await cluster.podGoneAfter("evicted", () => {
      return cluster.client.call({ method: "POST", path: cluster.path("pods/evicted/eviction"), body });
    });
    expect(last?.status?.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "EvictionByEvictionAPI" }),
    );
    expect(last?.status?.phase).toBe("Failed");
    expect(last && containerOf(last, "main")?.state.terminated).toMatchObject({ exitCode: 143 });
  });

  test("comes by preemption when a pod of higher priority needs the one GPU", async () => {
    const path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    const name = `high-${cluster.namespace}`;
    const priority = { apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { name }, value: 1_000 };
    await cluster.client.call({ method: "POST", path, body: priority });
    const resources = { limits: { "nvidia.com/gpu": "1" } };
    await cluster.createPod("low", { restartPolicy: "Never", containers: [script("main", patient, { resources })] });
    await cluster.pod("low", isRunning);
    const high = {
      restartPolicy: "Never",
      priorityClassName: name,
      containers: [script("main", "true", { resources })],
    };
    const last = await cluster.podGoneAfter("low", () => cluster.createPod("high", high));
    expect(last?.status?.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler" }),
    );
    expect((await cluster.pod("high", isOver)).status?.phase).toBe("Succeeded");
    await cluster.client.call({ method: "DELETE", path: `${path}/${name}` });
  });

  test("by the kernel is OOMKilled, and by the node's own decision Evicted", async () => {
    const uid = await cluster.createPod("oom", { restartPolicy: "Never", containers: [script("main", patient)] });
    await cluster.pod("oom", isRunning);
    node.oomKill(uid, "main");
    const killed = await cluster.pod("oom", isOver);
    expect(containerOf(killed, "main")?.state.terminated).toMatchObject({ reason: "OOMKilled", exitCode: 137 });

    const pressed = await cluster.createPod("pressed", {
      restartPolicy: "Never",
      containers: [script("main", patient)],
    });
    await cluster.pod("pressed", isRunning);
    node.evictForPressure(pressed);
    const evicted = await cluster.pod("pressed", isOver);
    expect(evicted.status).toMatchObject({ phase: "Failed", reason: "Evicted" });
    expect(evicted.status?.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" }),
    );
    await cluster.deletePodAndWait("pressed");
  });

  test("comes when its active deadline has passed", async () => {
    await cluster.createPod("late", {
      restartPolicy: "Never",
      activeDeadlineSeconds: 1,
      containers: [script("main", patient)],
    });
    const pod = await cluster.pod("late", isOver);
    expect(pod.status).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
  });

  test("is not written to a pod that took the name since", async () => {
    const containers = [script("main", "trap '' TERM; while :; do sleep 0.05; done")];
    await cluster.createPod("namesake", { restartPolicy: "Never", terminationGracePeriodSeconds: 2, containers });
    await cluster.pod("namesake", isRunning);
    const body = { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0 };
    await cluster.client.call({ method: "DELETE", path: cluster.path("pods/namesake"), body });
    // Bound to nobody, so only the old pod's end could give it a status.
    const uid = await cluster.createPod("namesake", { schedulerName: "nobody", containers: [script("main", "true")] });
    await until(() => readdirSync(join(cluster.directory, node.name, "processes")).length === 0);
    await cluster.createPod("after", { restartPolicy: "Never", containers: [script("main", "true")] });
    await cluster.pod("after", isOver);
    const pod = await cluster.find(cluster.path("pods/namesake"));
    expect(pod?.metadata).toMatchObject({ uid });
    expect(pod?.status).toMatchObject({ phase: "Pending" });
    expect(pod?.status?.containerStatuses).toBeUndefined();
  });
});

describe("a Job on a process node", () => {
  test("replaces a failed pod and completes", async () => {
    const flag = join(cluster.directory, "second-try");
    const body = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "retry" },
      spec: {
        backoffLimit: 2,
        template: {
          spec: {
            restartPolicy: "OnFailure",
            nodeSelector: { "kubernetes.io/hostname": node.name },
            containers: [script("main", `[ -e ${flag} ] && exit 0; touch ${flag}; exit 1`)],
          },
        },
      },
    };
    await cluster.client.call({ method: "POST", path: cluster.path("jobs", "/apis/batch/v1"), body });
    const job = await cluster.until("/apis/batch/v1", "jobs", "retry", ({ status }) => status?.succeeded === 1);
    expect(job.status?.conditions).toContainEqual(expect.objectContaining({ type: "Complete", status: "True" }));
  });
});

describe("a process node", () => {
  test("says nothing and does nothing while it is frozen, and goes on where it stood", async () => {
    const pidFile = join(cluster.directory, "frozen-pid");
    const containers = [script("main", `echo $$$$ > ${pidFile}; ${patient}`)];
    await cluster.createPod("frozen", { restartPolicy: "Never", terminationGracePeriodSeconds: 1, containers });
    await cluster.pod("frozen", isRunning);
    // The shell makes the file before it writes into it.
    await until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n"));
    const pid = Number(readFileSync(pidFile, "utf8"));
    node.freeze();
    await until(() => stateOf(pid) === "T");
    await cluster.deletePod("frozen");
    await cluster.createPod("behind", {
      nodeName: node.name,
      restartPolicy: "Never",
      containers: [script("main", "true")],
    });
    // A second node gets a pod later and runs it first: the frozen one has had its chance.
    const other = await cluster.startNode({ name: `${node.name}-awake`, address: "127.0.204.1" });
    const spec = { nodeName: other.name, restartPolicy: "Never", containers: [script("main", "sleep 2")] };
    await cluster.createPod("awake", spec);
    await cluster.pod("awake", isOver);
    expect(stateOf(pid)).toBe("T");
    expect((await cluster.find(cluster.path("pods/behind")))?.status?.containerStatuses).toBeUndefined();
    const last = await cluster.podGoneAfter("frozen", async () => node.thaw());
    expect(last && containerOf(last, "main")?.state.terminated).toMatchObject({ exitCode: 143 });
    expect((await cluster.pod("behind", isOver)).status?.phase).toBe("Succeeded");
    await other.stop();
  });

  test("leaves no process behind when it stops, and its pods are Failed when it comes back", async () => {
    const pidFile = join(cluster.directory, "left");
    const name = `${node.name}-2`;
    const second = await cluster.startNode({ name, address: "127.0.202.1" });
    const spec = {
      nodeName: name,
      restartPolicy: "Never",
      containers: [script("main", `setsid sleep 300 & echo $! > ${pidFile}; sleep 300`)],
    };
    await cluster.createPod("left", spec);
    await cluster.pod("left", isRunning);
    await second.stop({ node: "keep" });
    const mark = `TRAININGRUN_PROCESS_NODE=${join(cluster.directory, name, "processes")}`;
    const survivors = execFileSync("/bin/sh", ["-c", `grep -lsa "${mark}" /proc/[0-9]*/environ || true`], {
      encoding: "utf8",
    });
    expect(survivors).toBe("");
    const again = await cluster.startNode({ name, address: "127.0.202.1" });
    const pod = await cluster.pod("left", isOver);
    expect(containerOf(pod, "main")?.state.terminated).toMatchObject({
      reason: "ContainerStatusUnknown",
      exitCode: 137,
    });
    await again.stop();
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "that dies of %s takes its containers along, at the latest when it comes back",
    async (signal) => {
      const name = `${node.name}-${signal.toLowerCase()}`;
      const pidFile = join(cluster.directory, `${name}-pids`);
      const directory = join(cluster.directory, name);
      const program = spawn(
        process.execPath,
        [join(import.meta.dirname, "process-node-program.ts"), name, cluster.kubeconfigPath, directory, "127.0.203.1"],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      await once(program.stdout, "data");
      onTestFinished(() => void program.kill("SIGKILL"));
      // One process that leads the container ($$ is an escaped $), one in its group, one that has left it.
      const text = `echo $$$$ > ${pidFile}; sleep 300 & echo $! >> ${pidFile}; setsid sleep 300 & echo $! >> ${pidFile}; touch ${pidFile}.done; wait`;
      const probe = { exec: { command: ["/bin/sh", "-c", `[ -e ${pidFile}.done ]`] } };
      await cluster.createPod(name, {
        nodeName: name,
        restartPolicy: "Never",
        containers: [script("main", text, { readinessProbe: probe })],
      });
      await cluster.pod(name, (status) => containerOf(status, "main")?.ready === true);
      const pids = readFileSync(pidFile, "utf8").trim().split("\n").map(Number);
      expect(pids.map((pid) => identify(pid) !== undefined)).toEqual([true, true, true]);
      const exited = once(program, "exit");
      program.kill(signal);
      expect(await exited).toEqual([null, signal]);
      const again = await cluster.startNode({ name, directory, address: "127.0.203.1" });
      expect(pids.map((pid) => identify(pid))).toEqual([undefined, undefined, undefined]);
      await cluster.pod(name, isOver);
      await again.stop();
    },
  );

  test("serves logs to whoever asks the API server", async () => {
    await cluster.createPod("talk", { restartPolicy: "Never", containers: [script("main", "echo one; echo two")] });
    await cluster.pod("talk", isOver);
    const lines: string[] = [];
    const query = { container: "main", tailLines: "1" };
    for await (const line of cluster.client.lines(cluster.path("pods/talk/log"), query, AbortSignal.timeout(5_000))) {
      lines.push(line);
    }
    expect(lines).toEqual(["two"]);
  });

  test("refuses a pod that was bound past the scheduler and does not fit", async () => {
    const resources = { limits: { "nvidia.com/gpu": "2" } };
    const spec = {
      nodeName: node.name,
      restartPolicy: "Never",
      containers: [script("main", "true", { resources })],
    };
    await cluster.createPod("large", spec);
    const pod = await cluster.pod("large", isOver);
    expect(pod.status).toMatchObject({ phase: "Failed", reason: "OutOfnvidia.com/gpu" });
  });
});
