import { fieldsOf } from "../model/api/object.ts";
import type { ApiRequest, Event } from "./history.ts";
import type { Check } from "./oracle.ts";
import { statusOf } from "./status-view.ts";

/** S6: only the object that was decided on. */
const identity: Check = {
  id: "S6",
  guards: "I7",
  says: "every write of an operator demands the object's uid, and nothing foreign is touched, counted or believed",
  begin: (inquiry) => {
    const decoys = new Set(inquiry.expected.decoys);
    inquiry.on("Request", (request) => {
      if (!isOperatorWrite(request) || request.verb === "create" || request.code >= 300) return;
      const where = `${request.verb} of ${request.resource} ${request.namespace}/${request.name}`;
      inquiry.expect(request.demands.uid !== undefined, request.atMs, () => `${where} was sent without a uid`);
    });
    inquiry.on("Write", ({ by, resource, change, object, before, atMs }, world) => {
      const { namespace, name, uid } = object.metadata;
      if (by.role === "Operator" && change !== "ADDED") {
        const isDecoy = decoys.has(`${resource} ${namespace}/${name}`);
        inquiry.expect(!isDecoy, atMs, () => `${resource} ${namespace}/${name} is none of ours and was written to`);
      }
      if (by.role !== "Operator" || resource !== "trainingruns" || before === undefined) return;
      for (const pod of statusOf(object).attempts.flatMap(({ pods }) => pods)) {
        const owner = world.pods.get(pod)?.owner;
        inquiry.expect(owner === uid, atMs, () => `pod ${pod} is on record for ${uid}, and its owner is ${owner}`);
      }
    });
    inquiry.on("AgentAnswered", ({ run, pod, askedRun, askedPod, taken, atMs }) => {
      const isRight = run === askedRun && pod === askedPod;
      const what = `what the agent of ${pod} said was taken for the word of ${askedPod}`;
      inquiry.expect(isRight || !taken, atMs, () => what);
    });
  },
};

/** S12: nothing outside its place, and nothing without measure. */
const confined: Check = {
  id: "S12",
  guards: "I12",
  says: "objects stay in the run's namespace, bytes below its uid, requests and statuses within their limits",
  begin: (inquiry) => {
    const { perSecond, burst } = inquiry.expected.requests;
    const recent = new Map<string, number[]>();
    inquiry.on("Trespass", ({ pod, path, atMs }) => inquiry.expect(false, atMs, () => `${pod} wrote to ${path}`));
    inquiry.on("Request", ({ by, atMs }) => {
      if (by.role !== "Operator") return;
      const times = [...(recent.get(by.name) ?? []).filter((at) => at > atMs - windowMs), atMs];
      recent.set(by.name, times);
      const most = burst + (perSecond * windowMs) / 1000;
      const what = `${by.name} sent ${times.length} requests in ${windowMs} ms, and ${most} are its limit`;
      inquiry.expect(times.length <= most, atMs, () => what);
    });
    inquiry.on("Write", ({ by, resource, change, object, atMs }, world) => {
      if (by.role !== "Operator") return;
      if (resource === "trainingruns") {
        const bytes = Buffer.byteLength(JSON.stringify(object.status ?? null));
        inquiry.expect(bytes <= statusBytes, atMs, () => `the status of ${object.metadata.uid} has ${bytes} bytes`);
      }
      const owner = object.metadata.ownerReferences?.find(({ controller }) => controller);
      const run = owner && world.runs.get(owner.uid)?.object;
      if (change !== "ADDED" || run === undefined) return;
      const isBeside = run.metadata.namespace === object.metadata.namespace;
      const what = `${resource} ${object.metadata.namespace}/${object.metadata.name} is not in its run's namespace`;
      inquiry.expect(isBeside, atMs, () => what);
    });
  },
};

/** S13: the operator sees, or says that it does not. */
const seeing: Check = {
  id: "S13",
  guards: "the Kubernetes layer",
  says: "no operator is blind for longer than a minute of a server in reach, ready while blind, or ended by the server",
  begin: (inquiry) => {
    const blindSince = new Map<string, { operator: string; resource: string; atMs: number }>();
    const inReachSince = new Map<string, number>();
    const ready = new Set<string>();
    const settle = (
      { operator, resource, atMs: since }: { operator: string; resource: string; atMs: number },
      atMs: number,
    ) => {
      const reach = inReachSince.get(operator);
      if (reach === undefined) return;
      const blindFor = atMs - Math.max(since, reach);
      const what = `${operator} was blind for ${resource} for ${blindFor} ms`;
      inquiry.expect(blindFor <= inquiry.expected.blindMs, atMs, () => what);
      const isTooReady = ready.has(operator) && atMs - since > inquiry.expected.blindMs + probeMs;
      inquiry.expect(!isTooReady, atMs, () => `${operator} was ready while it was blind for ${resource}`);
    };
    const settleAll = (operator: string, atMs: number) => {
      for (const blind of blindSince.values()) if (blind.operator === operator) settle(blind, atMs);
    };
    inquiry.on("Sight", ({ operator, resource = "", holds, atMs }) => {
      const key = `${operator} ${resource}`;
      const blind = blindSince.get(key);
      if (!holds) blindSince.set(key, blind ?? { operator, resource, atMs });
      if (!holds || blind === undefined) return;
      settle(blind, atMs);
      blindSince.delete(key);
    });
    inquiry.on("Reach", ({ operator, holds, atMs }) => {
      if (holds && !inReachSince.has(operator)) inReachSince.set(operator, atMs);
      if (holds) return;
      settleAll(operator, atMs);
      inReachSince.delete(operator);
    });
    inquiry.on("Ready", ({ operator, holds }) => void (holds ? ready.add(operator) : ready.delete(operator)));
    inquiry.on("ProgramEnded", ({ who, how, why, atMs }) => {
      if (who.role !== "Operator") return;
      settleAll(who.name, atMs);
      for (const [key, { operator }] of blindSince) if (operator === who.name) blindSince.delete(key);
      ready.delete(who.name);
      inReachSince.delete(who.name);
      inquiry.expect(how !== "Threw", atMs, () => `${who.name} ended by itself: ${why}`);
    });
    inquiry.on("CacheCompared", ({ operator, resource, difference, atMs }) => {
      inquiry.expect(
        difference === null,
        atMs,
        () => `${operator} sees other ${resource} than there are: ${difference}`,
      );
    });
    inquiry.atEnd((_, endMs) => {
      for (const operator of [...inReachSince.keys()]) settleAll(operator, endMs);
    });
  },
};

/** S14: one leader. */
const oneLeader: Check = {
  id: "S14",
  guards: "one leader",
  says: "who does not hold the Lease sends no write but such as the object's version makes harmless",
  begin: (inquiry) => {
    const { lease: terms } = inquiry.expected;
    if (terms === null) return;
    const lostAt = new Map<string, number>();
    let holder = "";
    let renewedAt = 0;
    inquiry.on("Write", ({ by, resource, object, atMs }, world) => {
      if (resource !== "leases") return;
      const { holderIdentity } = fieldsOf(object.spec);
      const isHeld = world.lease !== null && typeof holderIdentity === "string" && holderIdentity !== "";
      // An operator writes no other name than its own, which is of one process alone.
      const next = isHeld ? (by.role === "Operator" ? by.name : holderIdentity) : "";
      if (next !== holder && holder !== "") lostAt.set(holder, atMs);
      if (next !== "") lostAt.delete(next);
      holder = next;
      renewedAt = atMs;
    });
    inquiry.on("ProgramEnded", ({ who, atMs }) => {
      if (who.name !== holder) return;
      // What is started again under the name is another process, and holds nothing.
      lostAt.set(holder, atMs);
      holder = "";
    });
    inquiry.on("Request", (request) => {
      if (!isOperatorWrite(request) || request.code >= 300) return;
      const { by, atMs, demands } = request;
      const held = by.name === holder ? renewedAt + terms.durationMs : (lostAt.get(by.name) ?? 0);
      const isGuarded = demands.resourceVersion !== undefined;
      const what = `${by.name} did ${request.verb} ${request.resource} ${request.name} ${atMs - held} ms after it had led`;
      inquiry.expect(isGuarded || atMs <= held + terms.travelMs, atMs, () => what);
    });
  },
};

/** S6, S12, S13, S14: what is promised of the operator before the API server. */
export const apiSafety: readonly Check[] = [identity, confined, seeing, oneLeader];

const windowMs = 10_000;
const statusBytes = 256 * 1024;
/** How seldom a kubelet asks whether the operator is ready, and how often it has to hear no. */
const probeMs = 30_000;

/** Leases have rules of their own, and events are about objects that may be gone. */
function isOperatorWrite({ by, verb, resource }: Event<ApiRequest>): boolean {
  if (by.role !== "Operator" || resource === "leases" || resource === "events") return false;
  return verb === "create" || verb === "update" || verb === "patch" || verb === "delete";
}
