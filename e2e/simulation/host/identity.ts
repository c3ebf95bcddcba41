import crypto from "node:crypto";
import os from "node:os";
import { actingProcess, type SimProcess } from "./process.ts";
import { closing, dispatching, type Replacement, refuse, replacing } from "./replacement.ts";

/** Who a process is and what it draws: its pid and host name, and random numbers that follow from the seed and its name. */
export function identityReplacements(): Replacement[] {
  return [
    replacing(Math, { name: "random", of: "Math" }, (real) =>
      dispatching(real, (process) => process.row("Math.random").next()),
    ),
    replacing(crypto, { name: "randomUUID", of: "crypto" }, (real) => dispatching(real, drawUuid)),
    replacing(crypto, { name: "randomBytes", of: "crypto" }, simulatedBytes),
    ...closing(crypto, { names: otherSources, of: "crypto" }),
    ...closing(globalThis.crypto, { names: ["getRandomValues", "randomUUID"], of: "globalThis.crypto" }),
    {
      path: "process.pid",
      apply() {
        const real = process.pid;
        Object.defineProperty(process, "pid", { get: () => actingProcess()?.pid ?? real, configurable: true });
      },
    },
    replacing(os, { name: "hostname", of: "os" }, (real) => dispatching(real, (process) => process.hostname)),
  ];
}

/** What else of `crypto` draws, or answers from another thread. */
const otherSources = [
  ...["randomFill", "randomFillSync", "randomInt", "generateKey", "generateKeyPair"],
  ...["generateKeySync", "generateKeyPairSync", "generatePrime", "checkPrime", "pbkdf2", "scrypt", "hkdf"],
] as const;

function drawUuid(process: SimProcess): ReturnType<typeof crypto.randomUUID> {
  const uuid = process.row("randomUUID").uuid();
  process.note(`draws ${uuid}`);
  return uuid;
}

function simulatedBytes(real: typeof crypto.randomBytes): typeof crypto.randomBytes {
  const simulated = (process: SimProcess, size: number, callback?: unknown) => {
    // With a callback the answer would come from a thread of Node's.
    if (callback !== undefined) refuse("crypto.randomBytes with a callback");
    return process.row("randomBytes").bytes(size);
  };
  return dispatching<[size: number, callback?: unknown], Buffer>(
    real as (size: number) => Buffer,
    simulated,
  ) as typeof real;
}
