import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { Tally } from "./sim-tally.ts";

/** Written again by an operator that is new, and by whoever leads: neither says what became of a run. */
const passing: readonly string[] = ["events", "leases"];

/** What operators have created, and asked to be deleted, by name and each as often as it happened. */
export class SimObjects {
  readonly #created: string[] = [];
  readonly #deleted: string[] = [];

  constructor(world: PlayWorld, tally: Tally) {
    world.api.store.listen(({ plural }, { type, object, before }) => {
      if (world.acting.actor.role !== "Operator" || passing.includes(plural)) return;
      const name = tally.plain(`${plural} ${object.metadata.name}`);
      const wasAsked = before?.metadata.deletionTimestamp !== undefined;
      if (type === "ADDED") this.#created.push(name);
      else if (!wasAsked && (type === "DELETED" || object.metadata.deletionTimestamp !== undefined)) {
        this.#deleted.push(name);
      }
    });
  }

  get created(): readonly string[] {
    return this.#created.toSorted();
  }

  get deleted(): readonly string[] {
    return this.#deleted.toSorted();
  }
}
