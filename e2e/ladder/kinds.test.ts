import { expect, test } from "vitest";
import { z } from "zod";
import configuration from "../../vitest.config.ts";
import { rungs } from "./kinds.ts";

const Configuration = z.object({
  test: z.object({ projects: z.array(z.object({ test: z.object({ name: z.string() }) })).min(1) }),
});

test("every project of Vitest is on the ladder: one that is not would never be run, and nothing would say so", () => {
  const projects = Configuration.parse(configuration).test.projects.map((project) => project.test.name);
  const kinds = rungs.flat().map(({ name }) => name);
  expect(projects.filter((name) => !kinds.includes(name))).toEqual([]);
});
