import type { Actor } from "../../judge/history.ts";

/** Whose turn it is at the API server. It does everything at once, so one word for all of it is enough. */
export class Acting {
  #actor: Actor = { role: "Controller", name: "api-server" };

  /** Who acts now. */
  get actor(): Actor {
    return this.#actor;
  }

  /** Lets somebody act; what follows from it within the server counts as done by the same. */
  by<T>(actor: Actor, act: () => T): T {
    const before = this.#actor;
    this.#actor = actor;
    try {
      return act();
    } finally {
      this.#actor = before;
    }
  }
}
