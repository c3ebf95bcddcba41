import type { ApiRequest } from "./history.ts";
import type { Check } from "./oracle.ts";

/** S17: a refusal is taken for an answer. */
const refusalsPaced: Check = {
  id: "S17",
  guards: "the Kubernetes layer",
  says: "a write that the server refuses is sent again later each time, however often its run is looked at",
  begin: (inquiry) => {
    const recent = new Map<string, readonly number[]>();
    inquiry.on("ProgramEnded", ({ who }) => {
      // Whoever is started anew has to find out for itself.
      for (const key of recent.keys()) if (key.startsWith(`${who.name} `)) recent.delete(key);
    });
    inquiry.on("Request", (request) => {
      if (!isRefused(request)) return;
      const { by, verb, resource, subresource = "", namespace, name, demands, atMs } = request;
      const what = `${by.name} ${verb} ${resource}/${subresource} ${namespace}/${name}`;
      // Another object under the name has a row of failures of its own.
      const key = `${what} ${demands.uid}`;
      const times = [...(recent.get(key) ?? []).filter((at) => at > atMs - windowMs), atMs];
      recent.set(key, times);
      const most = subresource === "status" ? mostStatuses : mostOthers;
      const words = `${what} was refused ${times.length} times in ${windowMs / 1000} s, and is to be sent ${most} times`;
      inquiry.expect(times.length <= most, atMs, () => words);
    });
  },
};

/** S17: what is promised of an operator that is told no. */
export const refusalSafety: readonly Check[] = [refusalsPaced];

const windowMs = 60_000;
/** In its first minute a row of failures has some thirteen tries, of which each may send a status in three forms. */
const mostStatuses = 45;
/** A creation is tried each quarter minute at most, and at once where the run was edited. */
const mostOthers = 10;

/** A conflict is no refusal: the picture was old. */
function isRefused({ by, verb, resource, code }: ApiRequest): boolean {
  const isWrite = verb === "create" || verb === "update" || verb === "patch" || verb === "delete";
  const isOfRuns = resource !== "leases" && resource !== "events";
  return by.role === "Operator" && isWrite && isOfRuns && (code === 403 || code === 422 || code === 500);
}
