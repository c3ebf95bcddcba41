import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import { RequestLimit } from "@trainingrun/operator/kubernetes/request-limit.ts";
import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { parse } from "yaml";
import { Refusal } from "../answers.ts";
import { namespaces } from "../built-in-kinds.ts";
import { ModelCredentials, ModelDispatcher, type ModelDispatcherOptions } from "../dispatcher.ts";
import { type Admission, ModelApi } from "../model-api.ts";
import { type Fields, isFields } from "../object.ts";
import { trainingRunKind } from "../run-kind.ts";
import { Store } from "../store.ts";

/** The committed definition of TrainingRuns. */
export const definition = readDefinition();
/** TrainingRuns, as the definition serves them. */
export const runs = trainingRunKind(definition).resource;
/** The namespace that every API of these tests has. */
export const team = "team-a";

/** Time that stands still until the test moves it, and what is due by then. */
export class HandClock {
  #now = Date.UTC(2026, 0, 5, 12);
  #due: { at: number; run: () => void }[] = [];

  readonly now = (): number => this.#now;

  readonly defer = (delayMs: number, run: () => void): void => {
    this.#due.push({ at: this.#now + delayMs, run });
  };

  /** Lets time pass, and everything happen that is due within it. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
  }
}

type ServedOptions = Readonly<{
  longestLog?: number;
  admit?: (write: Admission) => void;
  /** That of another version, such as one that lacks fields. */
  definition?: Fields;
}>;

/** A model API server with one namespace, and a clock for it. */
export function servedApi(options: ServedOptions = {}) {
  const clock = new HandClock();
  const { longestLog, definition: served = definition, ...rest } = options;
  const store = new Store(longestLog === undefined ? {} : { longestLog });
  let drawn = 0;
  const random = () => {
    drawn = (drawn * 16_807 + 12_345) % 2_147_483_647;
    return drawn / 2_147_483_647;
  };
  const { now, defer } = clock;
  const api = new ModelApi({ now, defer, random, store, kinds: [trainingRunKind(served)], ...rest });
  api.create({ resource: namespaces }, { metadata: { name: team } });
  return { api, clock };
}

/** A client as the operator has one, that speaks to a model. */
export function modelClient(api: ModelApi, clock: HandClock, options: Partial<ModelDispatcherOptions> = {}) {
  const dispatcher = new ModelDispatcher({ api, now: clock.now, ...options });
  const credentials = new ModelCredentials(dispatcher);
  const client = new ApiClient({
    credentials,
    limit: new RequestLimit({ perSecond: 10_000, burst: 10_000, inFlight: 64 }),
    retry: { tries: 4, backoff: { firstMs: 1, maxMs: 2, random: () => 0.5 }, longestRetryAfterMs: 20 },
    timeoutMs: 5_000,
    userAgent: "trainingrun-test",
  });
  return { client, dispatcher, credentials };
}

/** Where an object of the namespace stands. */
export function named(resource: Resource, name: string) {
  return { resource, namespace: team, name };
}

/** What a call was refused with: its code and its words. */
export function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("Cannot show a refusal because the call was not refused");
}

function readDefinition(): Fields {
  const path = join(import.meta.dirname, "../../../../../crds/trainingrun.dev_trainingruns.yaml");
  const read: unknown = parse(readFileSync(path, "utf8"));
  if (!isFields(read)) throw new Error(`Cannot read ${path} because it holds no object`);
  return read;
}
