import type { Fields } from "../../api/object.ts";
import type { ActRow } from "./act-row.ts";
import { agentImage } from "./pod-rows.ts";
import { operatorName, runName, type Scene, team } from "./scene.ts";

const target = () => operatorName;
const atServer = () => "server";
const beginning = "NoRun";

/** The version of the server before there was anything that a watch could tell. */
const versions = new WeakMap<Scene, number>();

const asks = async (scene: Scene) => (await scene.asksServer()).heard;
const asksTwice = async (scene: Scene) => [await asks(scene), await asks(scene)];

/** What becomes of a write: what its sender hears, and whether it was done. */
async function writes(scene: Scene): Promise<readonly [string, string]> {
  const name = scene.newKey();
  const body = JSON.stringify({ metadata: { name } });
  const { heard } = await scene.asksServer({ method: "POST", path: "/api/v1/namespaces", body });
  return [heard, (await scene.asksServer({ path: `/api/v1/namespaces/${name}` })).heard];
}

/** Whether a namespace shows in a list, and what is said of it alone. */
async function finds(scene: Scene, name: string): Promise<readonly [boolean, string]> {
  const { text } = await scene.asksServer({ path: "/api/v1/namespaces" });
  return [text.includes(`"${name}"`), (await scene.asksServer({ path: `/api/v1/namespaces/${name}` })).heard];
}

/** What an operator hears that writes the run's status, and one that writes something else of it. */
async function writesRun(scene: Scene): Promise<readonly [status: string, other: string]> {
  const run = `/apis/trainingrun.dev/v1alpha1/namespaces/${team}/trainingruns/${runName}`;
  const patch = async (path: string, body: Fields) => {
    const headers = { authorization: "Bearer token-1", "content-type": "application/merge-patch+json" };
    return (await scene.asksServer({ method: "PATCH", path, headers, body: JSON.stringify(body) })).heard;
  };
  const status = await patch(`${run}/status`, { status: { state: "Fencing" } });
  return [status, await patch(run, { metadata: { annotations: { "example.com/key": scene.newKey() } } })];
}

/** An act on every watch that is open, of which one hears of the namespace that is made next. */
function onWatch(kind: ActRow["kind"], rest: Pick<ActRow, "does" | "during"> & Partial<ActRow>): ActRow {
  return {
    kind,
    beginning,
    target,
    first: (scene) => scene.openWatch(),
    next: (scene) => scene.createNamespace("later"),
    look: (scene) => scene.told,
    before: [],
    afterMs: 100,
    ...rest,
  };
}

/** After how many writes the operator has ended; null while it runs. What it has sent before that is done all the same. */
function writesUntilEnd(scene: Scene): number | null {
  const [ended] = scene.since("ProgramEnded");
  if (ended === undefined) return null;
  const events = scene.world.history.events.slice(0, scene.world.history.events.indexOf(ended));
  const all = scene.since("Write").filter((write) => write.by.role === "Operator" && events.includes(write));
  return all.length;
}

/** Acts on operators and on what is between them and the server. */
export const operatorRows: readonly ActRow[] = [
  {
    kind: "OperatorKilled",
    does: "ends the operator right after its next write but one",
    target,
    args: { writes: 1 },
    next: (scene) => scene.preempt(),
    look: writesUntilEnd,
    before: null,
    afterMs: 2_500,
    during: 2,
  },
  {
    kind: "OperatorUpgraded",
    does: "replaces the operator by one that brings another agent, for pods to come",
    target,
    next: (scene) => scene.preempt(),
    look: agentImage,
    before: "model/agent:1",
    afterMs: 15_000,
    during: "model/agent:2",
  },
  {
    kind: "OperatorPaused",
    does: "has the operator stand still, and go on",
    beginning,
    target,
    look: (scene) => scene.operator.process.state,
    before: "running",
    during: "paused",
    lift: { after: "running" },
  },
  {
    kind: "OperatorCutOff",
    does: "keeps the operator from reaching the server",
    beginning,
    target,
    look: asks,
    before: "200",
    during: "ECONNREFUSED",
    lift: { after: "200" },
  },
  {
    kind: "AnswerLost",
    does: "loses the answer to one write that is done, and to no other",
    beginning,
    target,
    args: { writes: 1 },
    look: async (scene) => [await writes(scene), await writes(scene), await writes(scene)],
    before: [
      ["201", "200"],
      ["201", "200"],
      ["201", "200"],
    ],
    during: [
      ["201", "200"],
      ["ECONNRESET", "200"],
      ["201", "200"],
    ],
  },
  onWatch("WatchReset", { does: "cuts every watch", during: ["ECONNRESET"] }),
  onWatch("WatchStalled", { does: "lets nothing come by any watch any more", during: [] }),
  onWatch("WatchTruncated", { does: "ends every watch in the middle of a line", during: ["half a line", "the end"] }),
  onWatch("WatchGarbled", {
    does: "puts a line that is none into every watch, which goes on",
    during: ["half a line", "ADDED later"],
  }),
  onWatch("WatchExpired", {
    does: "says by every watch that its history is gone",
    during: ["ERROR 410", "the end"],
  }),
  onWatch("WatchHeld", {
    does: "holds back what watches say, until it is taken back",
    during: [],
    lift: { settleMs: 100, after: ["ADDED later"] },
  }),
  {
    kind: "ReadsStale",
    does: "shows lists as they were when it began, and single objects as they are",
    beginning,
    target,
    next: (scene) => scene.createNamespace("later"),
    look: (scene) => finds(scene, "later"),
    before: [false, "404"],
    during: [false, "200"],
    lift: { after: [true, "200"] },
  },
  {
    kind: "TokenRotated",
    does: "has the server take another token than before",
    beginning,
    target,
    look: asks,
    before: "200",
    during: "401",
  },
  {
    kind: "ServerDown",
    does: "has nobody listen",
    beginning,
    target: atServer,
    look: asks,
    before: "200",
    during: "ECONNREFUSED",
    lift: { after: "200" },
  },
  {
    kind: "ServerBusy",
    does: "answers so many requests with 429",
    beginning,
    target: atServer,
    args: { times: 1 },
    look: asksTwice,
    before: ["200", "200"],
    during: ["429", "200"],
    lift: { after: ["200", "200"] },
  },
  {
    kind: "ServerFails",
    does: "answers so many requests with 500",
    beginning,
    target: atServer,
    args: { times: 1 },
    look: asksTwice,
    before: ["200", "200"],
    during: ["500", "200"],
    lift: { after: ["200", "200"] },
  },
  ...["422", "403", "500"].map(
    (code, how): ActRow => ({
      kind: "StatusRefused",
      does: `answers what an operator writes into a run's status, and nothing else, with ${code}`,
      target: atServer,
      args: { how },
      look: writesRun,
      before: ["200", "200"],
      during: [code, "200"],
      lift: { settleMs: 1_000, after: ["200", "200"] },
    }),
  ),
  onWatch("ServerRestarted", { does: "ends every watch", target: atServer, during: ["the end"] }),
  {
    kind: "ServerCompacted",
    does: "forgets what was before: no watch can begin there",
    beginning,
    target: atServer,
    first: (scene) => {
      versions.set(scene, scene.world.api.store.version);
      scene.createNamespace("old");
    },
    look: async (scene) => {
      const before = scene.told.length;
      scene.openWatch(versions.get(scene));
      await scene.pass(50);
      return scene.told.slice(before).at(-1);
    },
    before: "ADDED old",
    during: "the end",
  },
];
