import type { Deed, Victim } from "./row.ts";

/** The user stops the run for a while. */
export const suspend: Deed = async ({ access }) => {
  await access.patchSpec({ suspend: true });
  return undefined;
};

/** The user edits what the pods are made of. */
export const edit: Deed = async ({ access }) => {
  await access.patchSpec({ template: { spec: { nodeSelector: { "e2e.trainingrun.dev/edited": "true" } } } });
  return undefined;
};

/** The user deletes the run. A finalizer of ours keeps the object to be read. */
export const deleteRun: Deed = async (victim) => {
  const release = await hold(victim);
  const { name, namespace } = victim.access.name;
  await victim.installation.kubectl("delete", "trainingrun", name, `--namespace=${namespace}`, "--wait=false");
  return release;
};

/** Somebody deletes the namespace with all that is in it. */
export const deleteNamespace: Deed = async (victim) => {
  const release = await hold(victim);
  await victim.installation.kubectl("delete", "namespace", victim.access.name.namespace, "--wait=false");
  return release;
};

const finalizer = "e2e.trainingrun.dev/look";

async function hold({ installation, access }: Victim): Promise<() => Promise<unknown>> {
  const { name, namespace } = access.name;
  const patch = (operations: readonly unknown[]) =>
    installation.kubectl(
      "patch",
      "trainingrun",
      name,
      `--namespace=${namespace}`,
      "--type=json",
      `--patch=${JSON.stringify(operations)}`,
    );
  await patch([{ op: "add", path: "/metadata/finalizers/-", value: finalizer }]);
  return async () => {
    const finalizers = JSON.parse(
      await installation.kubectl(
        "get",
        "trainingrun",
        name,
        `--namespace=${namespace}`,
        "-o",
        "jsonpath={.metadata.finalizers}",
      ),
    );
    const index = Array.isArray(finalizers) ? finalizers.indexOf(finalizer) : -1;
    const path = `/metadata/finalizers/${index}`;
    // Another finalizer may have gone in between: then the test fails, and nothing is taken off that is not ours.
    await patch([
      { op: "test", path, value: finalizer },
      { op: "remove", path },
    ]);
  };
}
