import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from "yaml";
import { chartDirectory } from "./render.ts";

/*
 * `node e2e/chart/values-table.ts` writes the table of values into the chart's README, from the comments of values.yaml
 * that begin with "--". A test compares the two.
 */

const begin = "<!-- values: begin, written by e2e/chart/values-table.ts -->";
const end = "<!-- values: end -->";

/** The README of the chart, with the table of its values as values.yaml says them now. */
export function readmeWithTable(): string {
  const readme = readFileSync(readmePath, "utf8");
  const [before, rest] = readme.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`Cannot write the table of values because ${readmePath} lacks the lines "${begin}" and "${end}"`);
  }
  return `${before}${begin}\n${table()}\n${end}${after}`;
}

const readmePath = join(chartDirectory, "README.md");

function table(): string {
  const { contents } = parseDocument(readFileSync(join(chartDirectory, "values.yaml"), "utf8"));
  if (!isMap(contents)) throw new Error("Cannot write the table of values because values.yaml is no map");
  const rows = rowsOf(contents, []).map(({ key, value, text }) => `| \`${key}\` | ${text} | \`${value}\` |`);
  return ["| value | says | default |", "|---|---|---|", ...rows].join("\n");
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly text: string;
}

function rowsOf(map: YAMLMap, path: readonly string[]): readonly Row[] {
  return map.items.flatMap(({ key, value }, position) => {
    if (!isScalar(key)) throw new Error(`Cannot write the table of values because of a key below ${path.join(".")}`);
    const here = [...path, String(key.value)];
    // The parser hands the comment above a map's first key to the map.
    const text = documentation(position === 0 ? (map.commentBefore ?? key.commentBefore) : key.commentBefore);
    if (text === undefined && isMap(value)) return rowsOf(value, here);
    if (text === undefined) throw new Error(`Cannot document ${here.join(".")} because no "# --" comment is above it`);
    return [{ key: here.join("."), value: JSON.stringify(isNode(value) ? value.toJSON() : value), text }];
  });
}

/** The comment from its "--" on, in one line; nothing where it has none. */
function documentation(comment: string | null | undefined): string | undefined {
  const said = comment?.split(/^ -- /m)[1];
  return said?.replaceAll(/\s*\n\s*/g, " ").trim();
}

if (import.meta.main) writeFileSync(readmePath, readmeWithTable());
