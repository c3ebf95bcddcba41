/** What is asked of a bucket, in one request. */
export type S3Request =
  | "Put"
  | "Get"
  | "Head"
  | "List"
  | "Remove"
  | "BeginUpload"
  | "PutPart"
  | "CompleteUpload"
  | "AbortUpload"
  | "ListUploads";

/** Which requests a fault meets: all of them where nothing is said. */
type Meets = Readonly<{
  requests?: readonly S3Request[];
  /** A part of the key, or of the prefix that is listed. */
  key?: string;
  /** So many are let pass first. */
  after?: number;
  /** So many are met, then no more. */
  times?: number;
}>;

/** What a store does to requests, as data. */
export type BucketFault = Meets &
  Readonly<
    /** It refuses, and does nothing. */
    | { answers: Readonly<{ status: number; code: string }> }
    /** The connection breaks: `before` anything was done, or `after`, so that only the reply is lost. */
    | { breaks: "before" | "after" }
    /** Only so many bytes of the answer's body come. */
    | { cutsTo: number }
  >;

/** A fault that stands until it is lifted. */
export type StandingFault = { readonly fault: BucketFault; readonly fired: number; lift(): void };

/** The faults of one bucket. None of them is there at the beginning. */
export class BucketFaults {
  /** Who looks on at every request, and may say what becomes of it before any fault does. */
  readonly onlookers = new Set<(request: S3Request, key: string) => BucketFault | null>();
  readonly #standing = new Set<StandingFault & { met: number; fired: number }>();

  add(fault: BucketFault): StandingFault {
    const standing = { fault, met: 0, fired: 0, lift: () => void this.#standing.delete(standing) };
    this.#standing.add(standing);
    return standing;
  }

  /** What meets this request, the oldest first; null where nothing does. */
  meet(request: S3Request, key: string): BucketFault | null {
    for (const onlooker of this.onlookers) {
      const fault = onlooker(request, key);
      if (fault !== null) return fault;
    }
    for (const standing of this.#standing) {
      const { requests, key: part, after = 0, times = Number.POSITIVE_INFINITY } = standing.fault;
      if (requests !== undefined && !requests.includes(request)) continue;
      if (part !== undefined && !key.includes(part)) continue;
      standing.met += 1;
      if (standing.met <= after || standing.fired >= times) continue;
      standing.fired += 1;
      return standing.fault;
    }
    return null;
  }
}
