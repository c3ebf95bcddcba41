import { parseArgs } from "node:util";

/** The settings of a script as text, by name, and checked readings of them. */
export type Settings<Name extends string> = {
  readonly text: (name: Name) => string;
  readonly wholeNumber: (name: Name) => number;
  readonly oneOf: <Choice extends string>(name: Name, choices: readonly Choice[]) => Choice;
  readonly entryOf: <Entry>(name: Name, entries: Readonly<Record<string, Entry>>) => Entry;
};

/**
 * Reads what can be chosen on the command line, or by environment variables in a pod's template. Options win over
 * variables, and these over the defaults: `--step-ms 50` over `MNIST_STEP_MS=20`, for the prefix `MNIST`.
 *
 * @throws {RangeError} by every reading but `text`, naming the setting and what it may be.
 */
export function readSettings<Name extends string>(
  prefix: string,
  defaults: Readonly<Record<Name, string>>,
): Settings<Name> {
  const names = Object.keys(defaults);
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ args: process.argv.slice(2), options });
  const text = (name: Name) => {
    const option = values[name];
    const variable = process.env[`${prefix}_${name.toUpperCase().replaceAll("-", "_")}`];
    return typeof option === "string" ? option : variable || defaults[name];
  };
  const refuse = (name: Name, choices: readonly string[]) =>
    new RangeError(`Cannot train because ${name} must be ${choices.join(" or ")}: ${JSON.stringify(text(name))}.`);
  return {
    text,
    wholeNumber: (name) => {
      if (!/^\d+$/.test(text(name))) throw refuse(name, ["a whole number"]);
      return Number(text(name));
    },
    oneOf: (name, choices) => {
      const choice = choices.find((candidate) => candidate === text(name));
      if (choice === undefined) throw refuse(name, choices);
      return choice;
    },
    entryOf: (name, entries) => {
      const entry = entries[text(name)];
      if (entry === undefined) throw refuse(name, Object.keys(entries));
      return entry;
    },
  };
}
