import { beforeEach, describe, expect, it } from "vitest";
import { BrokenListenerError, ObjectCache } from "./cache.ts";
import { controllerUid, type KubeObject } from "./kube-object.ts";

const pod = (name: string, uid: string, version: number, owner?: string, namespace = "a"): KubeObject => ({
  metadata: {
    namespace,
    name,
    uid,
    resourceVersion: String(version),
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: "v1", kind: "Run", name: "r", uid: owner, controller: true }] }),
  },
});

describe("the object cache", () => {
  let cache: ObjectCache<KubeObject>;
  let seen: string[];

  beforeEach(() => {
    cache = new ObjectCache({
      owner: (object) => {
        const uid = controllerUid(object);
        return uid === undefined ? [] : [uid];
      },
    });
    seen = [];
    cache.listen((change) =>
      seen.push(`${change.kind} ${change.object.metadata.uid}@${change.object.metadata.resourceVersion}`),
    );
  });

  it("tells of an addition, an update and a deletion", () => {
    cache.put(pod("p", "u1", 1));
    cache.put(pod("p", "u1", 2));
    cache.remove(pod("p", "u1", 3));
    expect(seen).toEqual(["Added u1@1", "Updated u1@2", "Deleted u1@3"]);
    expect(cache.get("a/p")).toBeUndefined();
  });

  it("says nothing when the same version comes again", () => {
    cache.put(pod("p", "u1", 2));
    cache.put(pod("p", "u1", 2));
    expect(seen).toEqual(["Added u1@2"]);
  });

  it("never goes back to an older version", () => {
    cache.put(pod("p", "u1", 10));
    cache.put(pod("p", "u1", 9));
    expect(cache.get("a/p")?.metadata.resourceVersion).toBe("10");
  });

  it("orders versions as numbers, beyond what a double can hold", () => {
    cache.put({ metadata: { name: "p", namespace: "a", uid: "u", resourceVersion: "9007199254740993" } });
    cache.put({ metadata: { name: "p", namespace: "a", uid: "u", resourceVersion: "9007199254740992" } });
    expect(cache.get("a/p")?.metadata.resourceVersion).toBe("9007199254740993");
  });

  it("tells a deletion and an addition when another uid has the name", () => {
    cache.put(pod("p", "u1", 1));
    cache.put(pod("p", "u2", 5));
    expect(seen).toEqual(["Added u1@1", "Deleted u1@1", "Added u2@5"]);
  });

  it("does not forget an object because another uid of its name was deleted", () => {
    cache.put(pod("p", "u2", 5));
    cache.remove(pod("p", "u1", 6));
    expect(cache.get("a/p")?.metadata.uid).toBe("u2");
  });

  it("learns from a whole list what came, changed, went, and was replaced", () => {
    cache.put(pod("kept", "u1", 1));
    cache.put(pod("changed", "u2", 2));
    cache.put(pod("gone", "u3", 3));
    cache.put(pod("replaced", "u4", 4));
    seen.length = 0;
    cache.replace(
      [pod("kept", "u1", 1), pod("changed", "u2", 7), pod("replaced", "u5", 8), pod("new", "u6", 9)],
      undefined,
    );
    expect(seen).toEqual(["Deleted u3@3", "Updated u2@7", "Deleted u4@4", "Added u5@8", "Added u6@9"]);
  });

  it("leaves other namespaces alone when one is listed", () => {
    cache.put(pod("p", "u1", 1, undefined, "a"));
    cache.put(pod("p", "u2", 2, undefined, "b"));
    cache.replace([], "a");
    expect(cache.all().map((object) => object.metadata.uid)).toEqual(["u2"]);
  });

  it("finds objects by their owner, in a stable order, as they come and go", () => {
    cache.put(pod("p2", "u2", 2, "run-1"));
    cache.put(pod("p1", "u1", 1, "run-1"));
    cache.put(pod("p3", "u3", 3, "run-2"));
    expect(cache.find("owner", "run-1").map((object) => object.metadata.name)).toEqual(["p1", "p2"]);
    cache.put(pod("p1", "u1", 4, "run-2"));
    expect(cache.find("owner", "run-1").map((object) => object.metadata.name)).toEqual(["p2"]);
    cache.remove(pod("p2", "u2", 5, "run-1"));
    expect(cache.find("owner", "run-1")).toEqual([]);
    expect(cache.find("owner", "run-2").map((object) => object.metadata.name)).toEqual(["p1", "p3"]);
  });
});

describe("a cache of which a part throws", () => {
  const thrown = (act: () => void): unknown => {
    try {
      return act();
    } catch (error) {
      return error;
    }
  };

  it("tells every listener of every change, and then what broke", () => {
    const cache = new ObjectCache();
    const heard: string[] = [];
    cache.listen(({ object }) => {
      throw new Error(`cannot hear of ${object.metadata.name}`);
    });
    cache.listen(({ kind, object }) => heard.push(`${kind} ${object.metadata.name}`));
    const error = thrown(() => cache.replace([pod("p", "u1", 1), pod("q", "u2", 2)], undefined));
    expect(heard).toEqual(["Added p", "Added q"]);
    expect(error).toBeInstanceOf(BrokenListenerError);
    expect((error as BrokenListenerError).errors).toEqual([
      new Error("cannot hear of p"),
      new Error("cannot hear of q"),
    ]);
    expect(cache.size).toBe(2);
  });

  it("keeps an object that an index cannot read, finds it by its key, and files it once it can", () => {
    const cache = new ObjectCache<KubeObject>({
      bad: ({ metadata }) => {
        if (metadata.resourceVersion === "1") throw new Error("unreadable");
        return ["v"];
      },
      good: () => ["v"],
    });
    const heard: string[] = [];
    cache.listen(({ kind }) => heard.push(kind));
    expect(thrown(() => cache.put(pod("p", "u1", 1)))).toBeInstanceOf(BrokenListenerError);
    expect([cache.get("a/p")?.metadata.uid, cache.find("bad", "v"), cache.find("good", "v").length]).toEqual([
      "u1",
      [],
      1,
    ]);
    cache.put(pod("p", "u1", 2));
    expect([heard, cache.find("bad", "v").length]).toEqual([["Added", "Updated"], 1]);
  });

  it("does not tell a listener any more that was taken off, even while a change is told", () => {
    const cache = new ObjectCache();
    const heard: string[] = [];
    const leave = cache.listen(() => {
      heard.push("first");
      leave();
    });
    cache.listen(() => heard.push("second"));
    cache.put(pod("p", "u1", 1));
    cache.put(pod("q", "u2", 2));
    expect(heard).toEqual(["first", "second", "second"]);
  });
});

describe("a whole list", () => {
  it("is what counts, even where an older state of an object follows a newer one", () => {
    const cache = new ObjectCache();
    cache.put(pod("poisoned", "u1", 7_777));
    cache.replace([pod("poisoned", "u1", 7)], undefined);
    expect(cache.get("a/poisoned")?.metadata.resourceVersion).toBe("7");
  });

  it("of another history is told anew, since an equal version may stand for something else", () => {
    const cache = new ObjectCache();
    const heard: string[] = [];
    cache.put(pod("p", "u1", 7));
    cache.listen(({ kind }) => heard.push(kind));
    cache.replace([pod("p", "u1", 7)], undefined);
    cache.replace([pod("p", "u1", 7)], undefined, "Another");
    expect(heard).toEqual(["Updated"]);
  });
});
