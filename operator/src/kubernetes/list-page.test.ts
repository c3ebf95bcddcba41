import { describe, expect, it } from "vitest";
import { scriptedClient } from "../../test/scripted-client.ts";
import { readVersion, readWholeList } from "./list-page.ts";
import { pods } from "./resource.ts";

const scope = { resource: pods, namespace: "a", labelSelector: "run" };
const bounds = { pageSize: 2, pageTimeoutMs: 1_000, signal: new AbortController().signal };
const pod = (name: string, over: object = {}) => ({
  metadata: { namespace: "a", name, uid: `uid-${name}`, resourceVersion: "5", ...over },
});
const page = (over: object = {}) => ({ kind: "PodList", metadata: { resourceVersion: "9" }, items: [], ...over });

function server(...answers: readonly unknown[]) {
  const asked: string[] = [];
  const client = scriptedClient(({ path }) => {
    asked.push(path);
    return { status: 200, body: answers[asked.length - 1] };
  });
  return { client, asked };
}

describe("a list", () => {
  it("is read page by page, at the version of the first", async () => {
    const { client, asked } = server(
      page({ metadata: { resourceVersion: "9", continue: "next" }, items: [pod("p"), pod("q")] }),
      page({ metadata: { resourceVersion: "10", continue: "" }, items: [pod("r")] }),
    );
    const list = await readWholeList(client, scope, bounds);
    expect([list.version, list.items.map(({ metadata }) => metadata.name)]).toEqual(["9", ["p", "q", "r"]]);
    expect(asked).toEqual([
      "/api/v1/namespaces/a/pods?labelSelector=run&limit=2",
      "/api/v1/namespaces/a/pods?labelSelector=run&limit=2&continue=next",
    ]);
  });

  it("tells the server's version for the price of one object", async () => {
    const { client, asked } = server(page({ metadata: { resourceVersion: "9", continue: "next" }, items: [pod("p")] }));
    expect(await readVersion(client, scope, bounds)).toBe("9");
    expect(asked).toEqual(["/api/v1/namespaces/a/pods?labelSelector=run&limit=1"]);
  });

  const unreadable: readonly [name: string, answer: unknown, why: string][] = [
    ["nothing", null, "its kind is undefined"],
    ["a Status", { kind: "Status", metadata: {}, status: "Success" }, "its kind is Status"],
    ["a list of another kind", page({ kind: "NodeList" }), "its kind is NodeList"],
    ["an empty object's list", { metadata: {}, items: [] }, "its kind is undefined"],
    ["a list without a version", page({ metadata: {} }), "its version is undefined"],
    ["a list with an empty version", page({ metadata: { resourceVersion: "" } }), "its version is "],
    ["a list with a version of no server", page({ metadata: { resourceVersion: "0" } }), "its version is 0"],
    ["a list without items", page({ items: undefined }), "it has no items"],
    [
      "a continuation that is no text",
      page({ metadata: { resourceVersion: "9", continue: 7 } }),
      "its continuation is no text",
    ],
    ["an item that is nothing", page({ items: [null] }), "its item 0 is no object, it has no metadata"],
    ["an item without a name", page({ items: [pod("")] }), "its item 0 is no object, it has no name"],
    [
      "an item without a uid",
      page({ items: [pod("p"), pod("q", { uid: 7 })] }),
      "its item 1 is no object, it has no uid",
    ],
    [
      "an item of another kind",
      page({ items: [{ kind: "Node", ...pod("p") }] }),
      "its item 0 is no object, its kind is Node, not Pod",
    ],
    [
      "an item of another namespace",
      page({ items: [pod("p", { namespace: "b" })] }),
      "its item 0 is no object, it is of namespace b, not a",
    ],
  ];
  it.each(unreadable)("is not taken from %s", async (_, answer, why) => {
    const { client } = server(answer);
    await expect(readWholeList(client, scope, bounds)).rejects.toThrow(
      `Cannot read the list of pods a because the answer is none, ${why}`,
    );
  });
});
