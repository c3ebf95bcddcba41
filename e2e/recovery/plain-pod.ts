import { projectImageTag } from "../cluster/images/project-images.ts";
import { programName } from "./program.ts";

/** The claim that all pods of the measurement mount: a TrainingRun saves there, and every container keeps its diary there. */
export const claimName = "recovery";
/** The ConfigMap that holds the program. */
export const programMapName = "recovery-program";
/** Where the pods of an object are told from others. */
export const contenderLabel = "contender";
/** A container's name of the user's choice; Kubeflow's TrainJob takes none but `node`. */
export type ContainerName = "trainer" | "node";

const dataPath = "/data";
const programPath = "/recovery";
/** The trainer's image has BLAKE3 there, which records of a run's log are hashed with. */
const nativePackages = "/opt/trainingrun/trainer/node_modules";

/**
 * The pod that every object is to keep running: one container, the same for all but for its own name and that of its
 * diary. How it is restarted is for the object to say.
 */
export function plainPod(name: string, container: ContainerName = "trainer") {
  return {
    metadata: { labels: { [contenderLabel]: name } },
    spec: {
      terminationGracePeriodSeconds: 30,
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: container,
          ...nodeProgram([`${programPath}/${programName}`]),
          env: [
            { name: "RECOVERY_DIARY", value: `${dataPath}/${name}` },
            { name: "NODE_PATH", value: nativePackages },
          ],
          volumeMounts: [
            { name: "data", mountPath: dataPath },
            { name: "program", mountPath: programPath, readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: "data", persistentVolumeClaim: { claimName } },
        { name: "program", configMap: { name: programMapName } },
      ],
    },
  };
}

/** An init container that ends as soon as it has begun. */
export const passingInitContainer = { name: "passing", ...nodeProgram(["--eval", "0"]) };

/** A sidecar that does nothing until it is asked to stop: a pod of a TrainingRun has one, whatever it does. */
export const idleSidecar = {
  name: "idle",
  restartPolicy: "Always",
  ...nodeProgram(["--eval", "process.once('SIGTERM', () => process.exit()); setInterval(() => undefined, 60_000)"]),
};

function nodeProgram(args: readonly string[]) {
  return {
    image: projectImageTag("trainer"),
    imagePullPolicy: "IfNotPresent",
    args,
    resources: { requests: { cpu: "10m", memory: "32Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
  };
}
