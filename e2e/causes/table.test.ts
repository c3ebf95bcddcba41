import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { causes, chargeOfCause } from "@trainingrun/operator/api/cause.ts";
import { describe, expect, test } from "vitest";
import { projectDirectory } from "../cluster/images/project-images.ts";
import { productionTable } from "./page.ts";
import type { Row } from "./row.ts";
import { rows, unseen } from "./table.ts";
import { clusterRows } from "./walk-all.ts";

const read = (file: string) => readFile(join(projectDirectory, file), "utf8");

const saidBy = (rows: readonly Row[]) => new Set(rows.map(({ says }) => says.cause));

describe("the ways for an attempt to end", () => {
  test.each(causes)("%s is produced on a cluster, or has a recorded shape", (cause) => {
    expect(saidBy(rows)).toContain(cause);
  });

  test("have one row each", () => {
    expect(rows.length).toBe(new Set(rows.map(({ way }) => way)).size);
  });

  test.each(rows.filter(({ where }) => where !== "Cluster"))("$way: the test that shows it is there", async (row) => {
    if (row.where === "Cluster") throw new Error("has no test");
    expect(await read(row.file)).toContain(row.title);
  });

  test("cost what their cause costs, unless the row is about that", () => {
    const others = rows.flatMap(({ way, says }) =>
      says.cause === "Blocked" || says.charge === chargeOfCause[says.cause] ? [] : [way],
    );
    expect(others).toEqual([
      "an exit code that a rule calls Fail",
      "an exit code that a rule calls Ignore",
      "Kueue takes the room back",
    ]);
  });

  test("that no cluster has shown yet are ways of the table", () => {
    expect(clusterRows(rows).map(({ way }) => way)).toEqual(expect.arrayContaining([...unseen]));
  });

  test("that take a node end with the one that leaves none", () => {
    const ofNode = clusterRows(rows).filter(({ lane }) => lane === "Node");
    expect(ofNode.at(-1)?.way).toBe("kubectl delete node");
  });

  test("are listed in docs/causes.md as the table has them, with a word on every cause", async () => {
    const page = await read("docs/causes.md");
    expect(page).toContain(productionTable(rows, unseen));
    for (const cause of causes) expect(page).toContain(`| \`${cause}\` |`);
  });
});
