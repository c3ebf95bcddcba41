/** What the operator's configuration says about the containers it adds to a training pod. */
export type PodSettings = Readonly<{
  agentImage: string;
  agentImagePullPolicy: "Always" | "IfNotPresent" | "Never";
  /** The raw `resources` of the agent and restore containers. */
  agentResources: Readonly<Record<string, unknown>>;
}>;
