import type { Fault, FaultName } from "../../plan/faults.ts";
import type { BucketFault } from "../bucket/faults.ts";
import type { FaultActs } from "../fault-acts.ts";
import { bucketPlace } from "../run-spec.ts";
import { type Act, livingPod } from "./act.ts";

/** What becomes of the object store, for all runs that have it. */
export const bucketActs = {
  BucketDown: onBucket(() => ({ breaks: "before" })),
  BucketFails: onBucket(({ args: { times = 1 } }) => {
    return { answers: times % 2 === 0 ? serverFault : tooBusy, times };
  }),
  BucketLosesReplies: onBucket(({ args: { times = 1 } }) => ({ breaks: "after", times })),
  BucketCutsBodies: onBucket(({ args: { bytes = 0 } }) => ({ cutsTo: bytes, requests: ["Get", "List"] })),
  KeysDenied: onBucket(() => ({ answers: { status: 403, code: "AccessDenied" } })),
  BucketFull: onBucket(() => ({
    answers: { status: 403, code: "QuotaExceeded" },
    requests: ["Put", "PutPart", "CompleteUpload"],
  })),
  ListingLags: (acts, fault) => {
    const { bucket } = acts.world;
    bucket.listingLagMs = fault.args.byMs ?? 0;
    const lift = acts.world.onStoreRequest(({ path }) => {
      if (path.includes("list-type")) acts.met(fault);
    });
    return () => {
      bucket.listingLagMs = 0;
      lift();
    };
  },
  BucketStalls: (acts, fault) =>
    acts.world.bendJourneys(({ server, what }) => {
      if (server.ip !== bucketPlace.ip || what === "hangup") return null;
      acts.met(fault);
      return { kind: "lost" };
    }),
  AgentKilledUploading: (acts, fault) => {
    let left = fault.args.puts ?? 0;
    return acts.world.onStoreRequest(({ method, client, path }) => {
      const uid = acts.world.run(fault.target)?.metadata.uid;
      if (method !== "PUT" || uid === undefined || !path.includes(uid) || left < 0) return;
      left -= 1;
      if (left >= 0 || livingPod(acts, fault) === undefined) return;
      acts.met(fault);
      client.kill("SIGKILL in the middle of an upload");
    });
  },
} as const satisfies Partial<Record<FaultName, Act>>;

const serverFault = { status: 500, code: "InternalError" } as const;
const tooBusy = { status: 503, code: "SlowDown" } as const;

/** A fault of the store, which has met something once a request came to feel it. */
function onBucket(faultOf: (fault: Fault) => BucketFault): Act {
  return (acts: FaultActs, fault) => {
    const standing = acts.world.bucket.faults.add(faultOf(fault));
    return () => {
      standing.lift();
      if (standing.fired > 0) acts.met(fault);
    };
  };
}
