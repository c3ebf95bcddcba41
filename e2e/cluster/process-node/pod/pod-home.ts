import type { ApiClient } from "../../control-plane/api-client.ts";
import type { ProcessImage } from "../container/images.ts";
import type { Gate } from "../gate.ts";
import type { ObjectReader } from "../object-reader.ts";
import type { ProcessLedger } from "../process-ledger.ts";
import type { AddressPool } from "./addresses.ts";
import type { PodEvents } from "./pod-events.ts";

/** What the pods of a node share. */
export interface PodHome {
  readonly nodeName: string;
  readonly address: string;
  readonly directory: string;
  readonly capacity: Readonly<Record<string, string>>;
  readonly images: Readonly<Record<string, ProcessImage>>;
  readonly client: ApiClient;
  readonly objects: ObjectReader;
  readonly events: PodEvents;
  readonly addresses: AddressPool;
  readonly gate: Gate;
  readonly ledger: ProcessLedger;
  /** Told of what goes wrong and is tried again. */
  readonly onError: (error: unknown) => void;
  /** The node stops: nothing is written any more. */
  readonly signal: AbortSignal;
}
