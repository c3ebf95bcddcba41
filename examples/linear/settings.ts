import { parseArgs } from "node:util";

/** What can be chosen on the command line, or by environment variables in a pod's template. */
export type Settings = {
  readonly steps: number;
  readonly stepMilliseconds: number;
  readonly seed: number;
  /** Size of the model: a checkpoint holds this number of floats twice. */
  readonly weights: number;
  readonly checkpoints: string;
};

const defaults = { steps: "500", "step-ms": "0", seed: "7", weights: "8", checkpoints: "checkpoints" };
type Name = keyof typeof defaults;

/** Options win over variables: `--step-ms 50` over `LINEAR_STEP_MS=20`. */
export function readSettings(args: readonly string[], environment: NodeJS.ProcessEnv): Settings {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ args: [...args], options });
  const text = (name: Name) => {
    const option = values[name];
    const variable = environment[`LINEAR_${name.toUpperCase().replaceAll("-", "_")}`];
    return typeof option === "string" ? option : (variable ?? defaults[name]);
  };
  const wholeNumber = (name: Name) => {
    if (/^\d+$/.test(text(name))) return Number(text(name));
    throw new RangeError(`Cannot train because ${name} must be a whole number: ${JSON.stringify(text(name))}.`);
  };
  return {
    steps: wholeNumber("steps"),
    stepMilliseconds: wholeNumber("step-ms"),
    seed: wholeNumber("seed"),
    weights: wholeNumber("weights"),
    checkpoints: text("checkpoints"),
  };
}
