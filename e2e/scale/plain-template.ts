import { claimName } from "./shared-claim.ts";

/** The pod that every contender is asked for: one container, and the volume that all of them share. */
export const plainTemplate = {
  spec: {
    restartPolicy: "Never",
    containers: [
      { name: "trainer", image: "example.com/trainer", volumeMounts: [{ name: "data", mountPath: "/checkpoints" }] },
    ],
    volumes: [{ name: "data", persistentVolumeClaim: { claimName } }],
  },
} as const;
