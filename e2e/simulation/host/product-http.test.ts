import { readEnvironment } from "@trainingrun/agent/environment.ts";
import { listen } from "@trainingrun/agent/serve/http.ts";
import { nothingKnown } from "@trainingrun/agent/serve/knowledge.ts";
import { agentState } from "@trainingrun/agent/serve/report.ts";
import { agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { exchanging, newExchange, transport } from "@trainingrun/checkpoint/store/object/exchange.ts";
import { AgentClient } from "@trainingrun/operator/control/agent-client.ts";
import { describe, expect, test } from "vitest";
import { podVariables } from "../../../agent/test/sample.ts";
import { installHost } from "./install.ts";
import { Network } from "./network.ts";
import { NetworkDispatcher } from "./network-dispatcher.ts";
import type { SimProcess } from "./process.ts";
import { Stage } from "./test/stage.ts";

installHost();

const environment = readEnvironment(AgentEnvironment, podVariables("/trainingrun"));
const { TRAININGRUN_UID: runUid, TRAININGRUN_POD_UID: podUid } = environment;

/** The agent's own server, until it is told to stop. */
async function agent({ stop }: SimProcess): Promise<void> {
  const server = await listen(
    {
      runUid,
      podUid,
      state: async () => agentState(environment, nothingKnown, { progress: null, mirror: null }),
      metrics: async () => ({ contentType: "text/plain", text: "up 1\n" }),
      requestSave: async () => console.log("a save is asked for"),
    },
    { host: "0.0.0.0", port: agentPort },
  );
  await new Promise((resolve) => stop.addEventListener("abort", resolve));
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

describe("the operator's client and the agent's server, both as they are", () => {
  const { signal } = new AbortController();

  /** What the client gets from 10.0.0.1, as one line. */
  async function asked(stage: Stage, ask: (client: AgentClient) => Promise<unknown>): Promise<string> {
    let got = "";
    stage.start("operator", async (process) => {
      await process.later(5);
      const client = new AgentClient({ timeoutMs: 2_000, dispatcher: new NetworkDispatcher() });
      const answer = await ask(client).catch((error: Error) => error.message);
      got = `${typeof answer === "string" ? answer : JSON.stringify(answer)} at ${stage.scheduler.now}`;
    });
    await stage.play(60_000);
    return got;
  }

  test("speak with each other", async () => {
    const stage = new Stage();
    const server = stage.start("agent", agent);
    const state = await asked(stage, async (client) => {
      await client.requestSave({ ip: "10.0.0.1", runUid, podUid }, signal);
      return (await client.state({ ip: "10.0.0.1", runUid, podUid }, signal)).phase;
    });
    expect([state, server.output]).toEqual(["Restoring at 5", ["a save is asked for"]]);
  });

  test("notice an address that another pod has now", async () => {
    const stage = new Stage();
    stage.start("agent", agent);
    const got = await asked(stage, (client) => client.state({ ip: "10.0.0.1", runUid, podUid: "gone" }, signal));
    expect(got).toContain(
      `it answered 409: {"error":"Cannot answer for pod gone because this agent belongs to pod ${podUid}`,
    );
  });

  test("do without an answer that never comes, in the time that the client gives it", async () => {
    const stage = new Stage({ network: new Network(() => ({ kind: "lost" })) });
    stage.start("agent", agent);
    const got = await asked(stage, (client) => client.state({ ip: "10.0.0.1", runUid, podUid }, signal));
    expect(got).toMatch(/^Cannot ask the agent of pod .* because TimeoutError: .* at 2005$/);
  });

  test("part when the agent stops", async () => {
    const stage = new Stage();
    const server = stage.start("agent", agent);
    stage.at(3, () => server.terminate());
    const got = await asked(stage, (client) => client.state({ ip: "10.0.0.1", runUid, podUid }, signal));
    expect([got, server.state]).toEqual([
      expect.stringContaining(`connect ECONNREFUSED 10.0.0.1:${agentPort}`),
      "dead",
    ]);
  });
});

test("the transport of the store's client gives up when nothing moves, as over a real connection", async () => {
  const stage = new Stage({ network: new Network(() => ({ kind: "lost" })) });
  const got = await stage.playOne(async () => {
    const exchange = newExchange({ signal: new AbortController().signal, silenceMs: 700 });
    const { promise, resolve } = Promise.withResolvers<string>();
    await exchanging(exchange, async () => {
      const sent = transport("http:").request({ host: "10.0.0.9", port: 9000, path: "/bucket/key" }, () =>
        resolve("answered"),
      );
      sent.on("error", (error) => resolve(`${error.name}: ${error.message} at ${stage.scheduler.now}`));
      sent.end();
    });
    return promise;
  });
  expect(got).toBe("SilenceError: nothing moved for 0.7 s at 700");
});
