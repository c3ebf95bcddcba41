import { actingProcess, type SimProcess, unending } from "./process.ts";
import { SimulationError } from "./scheduler.ts";

/** One function of Node, or of its globals, that simulated processes get another one for. */
export type Replacement = Readonly<{
  /** As it is named in errors and in the list of what the host answers, such as `fs.promises.open`. */
  path: string;
  /** Present where no model answers: a process that calls it spoils the play. */
  refuses?: true;
  apply(): void;
}>;

/** Replaces a property by one that is made of it. */
export function replacing<O extends object, K extends keyof O & string>(
  owner: O,
  { name, of }: Readonly<{ name: K; of: string }>,
  make: (real: O[K]) => O[K],
): Replacement {
  return {
    path: `${of}.${name}`,
    apply() {
      const value = make(owner[name]);
      Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: true });
    },
  };
}

/** Keeps what a function carries beside its call: its name, `util.promisify.custom`, `realpath.native`. */
export function dispatching<A extends unknown[], R>(
  real: (...args: A) => R,
  simulated: (process: SimProcess, ...args: A) => R,
): (...args: A) => R {
  const dispatch = function (this: unknown, ...args: A): R {
    const process = actingProcess();
    return process === undefined ? real.apply(this, args) : simulated(process, ...args);
  };
  const { length: _, prototype: __, ...carried } = Object.getOwnPropertyDescriptors(real);
  return Object.defineProperties(dispatch, carried);
}

/** A function that answers by a promise: the dead wait for it for ever. */
export function dispatchingAsync<A extends unknown[], T>(
  real: (...args: A) => Promise<T>,
  simulated: (process: SimProcess, ...args: A) => Promise<T>,
): (...args: A) => Promise<T> {
  return dispatching(real, (process, ...args) =>
    process.state === "dead" ? unending<T>() : simulated(process, ...args),
  );
}

/** Functions and classes that reach outside and that no model answers: a process that calls one spoils the play, by name. */
export function closing(
  owner: object,
  { names, of }: Readonly<{ names: readonly string[]; of: string }>,
): Replacement[] {
  return names.map((name) => ({
    path: `${of}.${name}`,
    refuses: true,
    apply() {
      const real: unknown = Reflect.get(owner, name);
      if (typeof real !== "function") return;
      const closed = new Proxy(real, {
        apply(target, self, args) {
          refuse(`${of}.${name}`);
          return Reflect.apply(target, self, args);
        },
        construct(target, args, newTarget) {
          refuse(`${of}.${name}`);
          return Reflect.construct(target, args, newTarget);
        },
      });
      Object.defineProperty(owner, name, { value: closed, configurable: true, writable: true, enumerable: true });
    },
  }));
}

/** Names of a module's functions, classes left out. */
export function functionsOf(owner: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(owner))
    .filter(([name, { value }]) => typeof value === "function" && /^[a-z]/.test(name))
    .map(([name]) => name);
}

/** Spoils the play of the process that calls, where one does. */
export function refuse(path: string): void {
  const process = actingProcess();
  if (process === undefined) return;
  const error = new SimulationError(`Cannot call ${path} in ${process.key} because the host has no model of it`);
  if (process.state !== "dead") process.scheduler.spoil(process, error);
  throw error;
}
