import { beforeEach, describe, expect, it } from "vitest";
import { ObjectCache } from "./cache.ts";
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
