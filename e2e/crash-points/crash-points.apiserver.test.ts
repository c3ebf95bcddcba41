import { describe, expect, it } from "vitest";
import { useApiServer } from "../../operator/test/api-server.ts";
import { installTrainingRuns } from "../../operator/test/custom-resource.ts";
import { hows } from "./cut.ts";
import { cutOnServer } from "./real.ts";
import { realScripts } from "./real-scripts.ts";

const api = useApiServer(installTrainingRuns);
const { signal } = new AbortController();

describe("an operator that is cut off at a write, on a real API server", () => {
  it("comes to the same end in the script plain", async () => {
    // Each write in one of the ways; all ways of all writes of all scripts are a measure of their own.
    const chosen = ({ ordinal, how }: { ordinal: number; how: string }) => how === hows[ordinal % hows.length];
    const access = { client: api.direct, credentials: api.credentials };
    const scripts = realScripts.filter(({ name }) => name === "plain");
    const [cuts] = await cutOnServer(access, { lanes: 4, signal, chosen }, scripts);
    expect(cuts?.missed).toEqual([]);
    expect(cuts?.plays).toBeGreaterThan(5);
  });
});
