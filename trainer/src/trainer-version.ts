/** The version of the trainer, as manifests name their producer and environments their packages. */
export const trainerVersion = "0.1.0";
