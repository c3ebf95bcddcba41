import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AgentState, agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { labels } from "@trainingrun/operator/api/names.ts";
import type { ObjectCache } from "@trainingrun/operator/kubernetes/cache.ts";
import { controllerUid, type KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";

/** Every attempt does so many steps before its pod is taken, and saves the last of them. */
const stepsPerAttempt = 100;
const bytes = 1024;
const targetStep = 1_000_000;
/** Of all checkpoints, so that each is told of in the same words by every attempt. */
const savedAt = "2026-01-01T00:00:00Z";

/**
 * Answers for the agents of all fake pods. Each attempt has resumed from what the one before it saved, has done its
 * first step, and stays there: nothing is recorded of a run while nothing happens to it.
 */
export class FakeAgents implements AsyncDisposable {
  readonly #pods: ObjectCache<KubeObject>;
  readonly #server: Server;

  constructor(pods: ObjectCache<KubeObject>) {
    this.#pods = pods;
    this.#server = createServer((request, response) => this.#answer(request, response));
    // Every address of 127/8 is listened on only by listening on all of them; nobody else is answered.
    this.#server.on("connection", (socket) => {
      if (!/^(::ffff:)?127\./.test(socket.remoteAddress ?? "")) socket.destroy();
    });
  }

  /** Listens on the port of agents. @throws where another process has it. */
  async start(): Promise<void> {
    this.#server.listen(agentPort, "0.0.0.0");
    await once(this.#server, "listening");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const uid = new URL(request.url ?? "/", "http://agent").searchParams.get("pod") ?? "";
    const [pod] = this.#pods.find("uid", uid);
    if (pod === undefined) response.writeHead(409).end();
    else response.setHeader("content-type", "application/json").end(JSON.stringify(stateOf(pod)));
  }
}

/** What trainer and agent of a pod leave when it is taken: the last step is saved and verified. */
export function lastWords(pod: KubeObject, container: string): string {
  const attempt = attemptOf(pod);
  const runUid = controllerUid(pod) ?? "";
  const saved = checkpointOf(runUid, attempt);
  const trainer: TrainerRecord = {
    kind: "preempted",
    attempt,
    step: saved.step,
    finalCheckpoint: "Saved",
    checkpoint: saved.digest,
    graceUsedSeconds: 0.3,
  };
  const agent: AgentRecord = {
    kind: "served",
    attempt,
    resumedFrom: resumedFrom(pod),
    lastStep: saved.step,
    firstStepTime: timeOf(pod),
    restoreSeconds: 0,
    latestVerified: saved,
    best: null,
    done: null,
    refused: [],
    verificationFailures: 0,
  };
  return JSON.stringify(container === "agent" ? agent : trainer);
}

function stateOf(pod: KubeObject): AgentState {
  const attempt = attemptOf(pod);
  const runUid = controllerUid(pod) ?? "";
  const time = timeOf(pod);
  const resumed = resumedFrom(pod);
  const latest = resumed === null ? null : checkpointOf(runUid, attempt - 1);
  const step = (resumed?.step ?? 0) + 1;
  return {
    version: 1,
    runUid,
    podUid: pod.metadata.uid,
    attempt,
    worker: 0,
    node: "fake",
    phase: "Serving",
    restored: {
      version: 1,
      run: runUid,
      attempt,
      podUid: pod.metadata.uid,
      resume: resumed === null ? null : { ...resumed, attempt: attempt - 1, directory: "/checkpoints" },
      refused: [],
      verifiedBytes: resumed === null ? 0 : bytes,
      seconds: 0,
      time,
    },
    progress: {
      version: 1,
      step,
      targetStep,
      epoch: 0,
      samples: 0,
      metrics: [],
      stepsPerSecond: 1,
      firstStep: { step, time },
      saves: { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 },
      backend: "none",
      time,
    },
    checkpoints: latest === null ? [] : [{ ...latest, verified: true, kept: ["last"] }],
    latestVerified: latest,
    best: null,
    refused: [],
    done: null,
    verificationFailures: 0,
    problems: [],
    mirror: null,
  };
}

function resumedFrom(pod: KubeObject): Readonly<{ step: number; digest: string; tier: "Volume" }> | null {
  const attempt = attemptOf(pod);
  if (attempt === 1) return null;
  const { step, digest } = checkpointOf(controllerUid(pod) ?? "", attempt - 1);
  return { step, digest, tier: "Volume" };
}

function checkpointOf(runUid: string, attempt: number): CheckpointSummary {
  const digest = `sha256:${createHash("sha256").update(`${runUid}/${attempt}`).digest("hex")}`;
  return { step: attempt * stepsPerAttempt, attempt, digest, bytes, time: savedAt, tiers: ["Volume"], metrics: [] };
}

function attemptOf({ metadata }: KubeObject): number {
  return Number(metadata.labels?.[labels.attempt] ?? 1);
}

function timeOf({ status, metadata }: KubeObject): string {
  return (status as { startTime?: string } | undefined)?.startTime ?? metadata.creationTimestamp ?? "";
}
