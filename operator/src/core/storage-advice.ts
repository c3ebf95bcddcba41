const newerRelease =
  "A newer release wrote it than the agent is of: upgrade the operator, and with it the agent, to the trainer's release. Nothing was refused for it, and nothing of it is removed.";

/** What a person does about each problem that an agent names beside those of an object store, and that does not say so itself. */
const advice: Readonly<Record<string, string>> = {
  SaveStuck:
    "Look at the volume, its mount and its driver on the pod's node: a server or a device there does not answer, or hardly. Saving goes on by itself once it does. Where it does not, delete the pod: the next attempt goes on from the newest verified checkpoint.",
  UnknownFormat: newerRelease,
  UnknownRecordVersion: newerRelease,
  HashUnavailable:
    "The agent cannot compute the digests that the trainer wrote: use an agent's image for the processor of the node, with its BLAKE3 library. Nothing was refused for it, and nothing of it is removed.",
};

/** What to do about a problem of a run's storage, as a sentence; empty where the word is not one of these. */
export function adviceOnStorage(problem: string): string {
  return Object.hasOwn(advice, problem) ? (advice[problem] ?? "") : "";
}
