import { appendFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from "vitest/node";
import { type TallyLine, tallyVariable } from "./tally.ts";

/**
 * Writes down what became of every test as it ends, one line of JSON each, so that a Vitest that dies halfway leaves what it
 * had seen. What no test tells comes at the end: files that broke, hooks that failed, errors outside of tests, and tests that
 * never ran.
 */
export default class TallyReporter implements Reporter {
  readonly #path = process.env[tallyVariable] ?? "";
  readonly #told = new Set<string>();

  onInit(): void {
    if (this.#path === "") throw new Error(`Cannot count tests because ${tallyVariable} names no file`);
  }

  onTestCaseResult(test: TestCase): void {
    // Whether a skipped test was meant to be is known only when its suite has ended.
    if (test.result().state !== "skipped") this.#tell(test);
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: string): void {
    for (const module of modules) {
      for (const test of module.children.allTests()) if (!this.#told.has(test.id)) this.#tell(test);
      for (const part of [module, ...module.children.allSuites()]) this.#tellErrors(nameOf(part), part.errors());
      if (module.state() === "queued" || module.state() === "pending")
        this.#write({ kind: "broken", what: nameOf(module), message: "it never came to its end" });
    }
    this.#tellErrors("outside of any test", errors);
    this.#write({ kind: "end", reason });
  }

  #tell(test: TestCase): void {
    this.#told.add(test.id);
    const name = `${test.module.relativeModuleId} > ${test.fullName}`;
    this.#write({ kind: "test", name, ...outcomeOf(test) });
  }

  #tellErrors(what: string, errors: readonly SerializedError[]): void {
    for (const { message } of errors) this.#write({ kind: "broken", what, message: message.slice(0, 500) });
  }

  #write(line: TallyLine): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}

function outcomeOf(test: TestCase): Pick<Extract<TallyLine, { kind: "test" }>, "outcome" | "note"> {
  const result = test.result();
  switch (result.state) {
    case "passed":
      if (test.options.fails) return { outcome: "failed", note: "it is expected to fail, so passing shows nothing" };
      return test.diagnostic()?.flaky
        ? { outcome: "failed", note: "it passed only when it was tried again" }
        : { outcome: "passed" };
    case "failed":
      return { outcome: "failed", note: result.errors[0]?.message.slice(0, 500) ?? "it names no error" };
    case "skipped":
      // Vitest calls tests skipped whose file or hook broke: they were meant to run.
      if (hasBrokenParent(test)) return { outcome: "failed", note: "it never ran, because what it needs broke" };
      return { outcome: "skipped", note: result.note ?? "what it needs is missing here" };
    case "pending":
      return { outcome: "failed", note: "it never came to its end" };
    default:
      return result satisfies never;
  }
}

function hasBrokenParent(test: TestCase): boolean {
  for (let part: TestSuite | TestModule = test.parent; ; part = part.parent) {
    if (part.errors().length > 0) return true;
    if (part.type === "module") return false;
  }
}

function nameOf(part: TestSuite | TestModule): string {
  return part.type === "module" ? part.relativeModuleId : `${part.module.relativeModuleId} > ${part.fullName}`;
}
