import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

/*
 * The rules that reviewers should not have to remember. Each rule is a function from the tree to a list of offenders,
 * so that a failure names the place; each is also shown a small tree that breaks it, so that none can pass by being blind.
 */

type SourceFile = Readonly<{ path: string; text: string }>;

const tree = readTree();

/** What each room may import from the other rooms. `operator` sees only the contract of `checkpoint`. */
const roomImports: Readonly<Record<string, readonly RegExp[]>> = {
  checkpoint: [],
  agent: [/^@trainingrun\/checkpoint\//],
  trainer: [/^@trainingrun\/checkpoint\//],
  operator: [/^@trainingrun\/checkpoint\/contract\//],
  cli: [/^@trainingrun\/checkpoint\/contract\//, /^@trainingrun\/operator\/api\//],
  e2e: [/^@trainingrun\//],
  examples: [/^@trainingrun\/trainer\//],
};

/** Inside the operator: a folder may import the folders listed and itself. `main.ts` may import all. */
const operatorImports: Readonly<Record<string, readonly string[]>> = {
  api: [],
  core: ["api"],
  kubernetes: ["core", "api"],
  control: ["kubernetes", "core", "api"],
  serve: ["kubernetes", "core", "api"],
};

/** Files that must stay pure, with what they are made of: the operator's core and the checkpoint library's decisions. */
const pure = [
  /^operator\/src\/(core|api)\//,
  /^checkpoint\/src\/(log\/(fold|ledger|state)|candidates|retention(-space|-left-behind)?|directory-name|contract\/.*)\.ts$/,
];

const rules: readonly { rule: string; offenders: (files: readonly SourceFile[]) => string[]; bad: SourceFile }[] = [
  {
    rule: "a room imports only the rooms below it",
    offenders: (files) =>
      everyImport(files).flatMap(({ file, specifier }) => {
        const room = roomOf(file.path);
        if (!specifier.startsWith("@trainingrun/") || room === undefined || isTest(file.path)) return [];
        const allowed = roomImports[room] ?? [];
        const own = specifier.startsWith(`@trainingrun/${room}/`);
        return own || allowed.some((pattern) => pattern.test(specifier)) ? [] : [`${file.path} imports ${specifier}`];
      }),
    bad: { path: "checkpoint/src/save.ts", text: 'import { x } from "@trainingrun/agent/serve.ts";' },
  },
  {
    rule: "no relative import leaves its room",
    offenders: (files) =>
      everyImport(files).flatMap(({ file, specifier }) => {
        const room = roomOf(file.path);
        if (!specifier.startsWith(".") || room === undefined || room === "e2e" || isTest(file.path)) return [];
        const target = normalize(join(dirname(file.path), specifier));
        return target.startsWith(`${room}/`) ? [] : [`${file.path} imports ${specifier}`];
      }),
    bad: { path: "agent/src/serve.ts", text: 'import { x } from "../../checkpoint/src/save.ts";' },
  },
  {
    rule: "inside the operator, imports point one way: main -> control, serve -> kubernetes -> core -> api",
    offenders: (files) =>
      everyImport(files).flatMap(({ file, specifier }) => {
        const folder = /^operator\/src\/(\w+)\//.exec(file.path)?.[1];
        if (folder === undefined || !specifier.startsWith(".") || isTest(file.path)) return [];
        const target = normalize(join(dirname(file.path), specifier));
        const targetFolder = /^operator\/src\/(\w+)\//.exec(target)?.[1] ?? "the top of operator/src";
        const allowed = [folder, ...(operatorImports[folder] ?? [])];
        return allowed.includes(targetFolder) ? [] : [`${file.path} imports ${specifier}`];
      }),
    bad: { path: "operator/src/core/decide.ts", text: 'import { x } from "../control/apply.ts";' },
  },
  {
    rule: "pure files import no I/O",
    offenders: (files) =>
      everyImport(files.filter(isPure)).flatMap(({ file, specifier }) =>
        /^(\.|zod$|@trainingrun\/checkpoint\/contract\/)/.test(specifier) ? [] : [`${file.path} imports ${specifier}`],
      ),
    bad: { path: "operator/src/core/pod.ts", text: 'import { readFile } from "node:fs/promises";' },
  },
  {
    rule: "pure files import only files that are pure",
    offenders: (files) =>
      everyImport(files.filter(isPure))
        .filter(({ specifier, isType }) => specifier.startsWith(".") && !isType)
        .flatMap(({ file, specifier }) =>
          isPure({ path: normalize(join(dirname(file.path), specifier)), text: "" })
            ? []
            : [`${file.path} imports ${specifier}`],
        ),
    bad: { path: "checkpoint/src/log/fold.ts", text: 'import { x } from "../store/file-system.ts";' },
  },
  {
    rule: "pure files read no clock, draw no random number, log nothing and wait for nothing",
    offenders: (files) =>
      files
        .filter(isPure)
        .flatMap((file) =>
          [
            ...code(file.text).matchAll(
              /\b(await|Date\.now|new Date\(\)|performance\.|Math\.random|crypto\.|console\.|process\.|globalThis|fetch\(|set(?:Timeout|Interval|Immediate))/g,
            ),
          ].map((match) => `${file.path} uses ${match[1]}`),
        ),
    bad: { path: "operator/src/core/decide.ts", text: "const now = Date.now();" },
  },
  {
    rule: "the models of the simulation reach nothing outside, so that a play follows from its seed alone",
    offenders: (files) =>
      files
        .filter(({ path }) => path.startsWith("e2e/simulation/model/") && !isTest(path))
        .flatMap((file) =>
          [
            ...code(file.text).matchAll(
              /"(node:(?!buffer"|path"|stream")[\w/]+)"|\b(Date\.now|new Date\(\)|performance\.|Math\.random|crypto\.|console\.|globalThis|fetch\(|set(?:Timeout|Interval|Immediate))/g,
            ),
          ].map((match) => `${file.path} uses ${match[1] ?? match[2]}`),
        ),
    bad: { path: "e2e/simulation/model/api/store.ts", text: 'import { readFile } from "node:fs/promises";' },
  },
  {
    rule: "no file is named after nothing in particular",
    offenders: (files) =>
      files
        .filter(({ path }) => /(^|\/)(index|utils?|helpers?|types|common|misc)\.ts$/.test(path))
        .map(({ path }) => path),
    bad: { path: "agent/src/utils.ts", text: "" },
  },
  {
    rule: "no file of ours grows past 400 lines",
    offenders: (files) =>
      files
        .filter(({ path, text }) => path.endsWith(".ts") && !isTest(path) && text.split("\n").length > 400)
        .map(({ path, text }) => `${path} has ${text.split("\n").length} lines`),
    bad: { path: "agent/src/serve.ts", text: "\n".repeat(401) },
  },
  {
    rule: "nothing is left undone or switched off",
    offenders: (files) =>
      files
        .filter(({ path }) => /\.(ts|sh|py|yaml)$/.test(path) && path !== "tidy.test.ts")
        .flatMap(({ path, text }) =>
          [
            ...text.matchAll(
              /\b(TODO|FIXME|XXX|not implemented)\b|\b(?:test|it|describe)(?:\.\w+)*\.(only|todo|skip|fails)\(/g,
            ),
          ].map((match) => `${path}: ${match[0]}`),
        ),
    bad: { path: "agent/src/serve.ts", text: "// TODO: later" },
  },
  {
    rule: "the lockfile carries no download address",
    offenders: (files) =>
      files
        .filter(({ path }) => path.endsWith("package-lock.json"))
        .filter(({ text }) => /"resolved": "https?:/.test(text))
        .map(({ path }) => path),
    bad: { path: "package-lock.json", text: '"resolved": "https://registry.example/x.tgz"' },
  },
  {
    rule: "every relative link in a page leads to a file",
    offenders: (files) =>
      files
        .filter(({ path }) => path.endsWith(".md"))
        .flatMap(({ path, text }) =>
          [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)].flatMap((match) =>
            existsSync(join(dirname(path), match[1] ?? "")) ? [] : [`${path} links to ${match[1]}`],
          ),
        ),
    bad: { path: "README.md", text: "[gone](docs/never-written.md)" },
  },
  {
    rule: "every invariant of ARCHITECTURE.md points at a test that exists",
    offenders: (files) =>
      files
        .filter(({ path }) => path === "ARCHITECTURE.md")
        .flatMap(({ text }) =>
          [...text.matchAll(/^\| \*\*([IL]\d+)\*\*.*$/gm)].flatMap((row) => {
            const tests = [...row[0].matchAll(/`([\w./-]+\.test\.ts)`/g)].map((match) => match[1] ?? "");
            if (tests.length === 0) return [`${row[1]} names no test`];
            return tests.filter((test) => !existsSync(test)).map((test) => `${row[1]} names ${test}`);
          }),
        ),
    bad: { path: "ARCHITECTURE.md", text: "| **I1** | one history | `never/written.test.ts` |" },
  },
];

describe("the tree keeps its rules", () => {
  test.each(rules)("$rule", ({ offenders }) => {
    expect(offenders(tree)).toEqual([]);
  });

  test.each(rules)("the rule can fail: $rule", ({ offenders, bad }) => {
    expect(offenders([bad])).not.toEqual([]);
  });
});

function readTree(): readonly SourceFile[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return listed
    .split("\0")
    .filter((path) => /\.(ts|md|sh|py|yaml|json)$/.test(path) && existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

type Import = Readonly<{ file: SourceFile; specifier: string; isType: boolean }>;

function everyImport(files: readonly SourceFile[]): Import[] {
  return files
    .filter(({ path }) => path.endsWith(".ts"))
    .flatMap((file) => {
      const text = code(file.text);
      return [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"\n]+)"/g)].map((match) => {
        const statement = text.slice(text.lastIndexOf("import", match.index + "import".length - 1), match.index);
        return { file, specifier: match[1] ?? "", isType: /^import\s+type\b/.test(statement) };
      });
    });
}

/** The text without comments, so that a rule named in prose does not count as broken. */
function code(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
}

function isPure({ path }: SourceFile): boolean {
  return !isTest(path) && pure.some((pattern) => pattern.test(path));
}

function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || path.includes("/test/") || path.includes("/golden/");
}

function roomOf(path: string): string | undefined {
  const room = path.split("/")[0] ?? "";
  return room in roomImports ? room : undefined;
}
