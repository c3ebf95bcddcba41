import { candidates, lineage } from "../../src/candidates.ts";
import { directoryName } from "../../src/directory-name.ts";
import { carry, find } from "../../src/log/fold.ts";
import type { LogRecord } from "../../src/log/record.ts";
import { retain } from "../../src/retention.ts";
import { digestOf } from "../log-builder.ts";
import { type Actor, counts, create, read, stands, truth, type World } from "./world.ts";

/** Mistakes that a change could plausibly make; each must be caught by the exploration. */
export const mistakes = [
  "removes bytes before the tombstone has won",
  "takes an old plan to the next number",
  "opens on an old choice under the next number",
  "trusts a number that it won",
  "writes a commit without looking for a fence",
  "renews its open under the next number with an old fold",
] as const;
export type Mistake = (typeof mistakes)[number];

/** What one actor may do next: each entry is one atomic step of it, with all its outcomes. */
export function moves(world: World, index: number, mistake: Mistake | null): World[] {
  const actor = world.actors[index];
  if (actor === undefined) return [];
  const become = (change: Partial<Actor>, next: World = world): World => ({
    ...next,
    actors: next.actors.map((other, at) => (at === index ? { ...actor, ...change } : other)),
  });
  if (actor.role === "restore") return restoreMoves(world, actor, { become, mistake });
  const opened = world.actors.some(
    ({ role, attempt, pod, phase }) =>
      role === "restore" && attempt === actor.attempt && pod === actor.pod && phase === "opened",
  );
  if (!opened) return [];
  if (actor.role === "trainer") return trainerMoves(world, actor, { become, mistake });
  if (actor.role === "prune") return pruneMoves(world, actor, { become, mistake });
  return compactMoves(world, actor, { become, mistake });
}

type Become = (change: Partial<Actor>, next?: World) => World;
type Context = Readonly<{ become: Become; mistake: Mistake | null }>;

const common = { version: 1, time: "2026-01-01T00:00:00.000Z" } as const;

/** Reads and chooses; may refuse the newest first; opens right after what it has read, or reads again. */
function restoreMoves(world: World, actor: Actor, { become, mistake }: Context): World[] {
  const { attempt, pod, phase, seen, targets, left } = actor;
  if (phase === "start") {
    const state = read(world);
    const held = state.opened;
    if (held !== null && (held.attempt > attempt || (held.attempt === attempt && held.podUid !== pod))) {
      return [become({ phase: "stopped" })];
    }
    const found = candidates(state, { base: null, refused: [] }).map(({ digest }) => digest);
    const choices = found.slice(0, 2).map((digest) => become({ phase: "chosen", seen: state.last, targets: [digest] }));
    const newest = found[0];
    const refusal = { phase: "refusing", seen: state.last, left: left - 1 };
    return left > 0 && newest !== undefined ? [...choices, become({ ...refusal, targets: [newest] })] : choices;
  }
  const [target = ""] = targets;
  if (phase === "refusing") {
    const about = { manifest: target, reason: "BytesDiffer", message: "", node: "n" };
    const next = create(world, seen + 1, { ...common, kind: "refuse", writer: pod, attempt, ...about });
    return [become({ phase: "start", targets: [] }, next ?? world)];
  }
  if (phase !== "chosen") return [];
  const state = carry(truth(world, Math.min(seen, world.all.length)));
  const draft = { podUid: pod, node: "n", base: target, generation: 1, state };
  const record: LogRecord = { ...common, kind: "open", writer: pod, attempt, ...draft };
  const number = mistake === "opens on an old choice under the next number" ? world.all.length + 1 : seen + 1;
  const next = create(world, number, record);
  if (next === null || !stands(next, number, record)) return [become({ phase: "start", targets: [] }, next ?? world)];
  return [become({ phase: "opened" }, next)];
}

/** Writes a checkpoint, reads the log, commits under the next number, and looks whether that stands. */
function trainerMoves(world: World, actor: Actor, { become, mistake }: Context): World[] {
  const { attempt, pod, phase, seen, targets, left } = actor;
  if (phase === "start" && left > 0) {
    const base = truth(world).attempts.find((link) => link.attempt === attempt)?.base?.step ?? 0;
    const digest = digestOf(base + 10 + left, attempt);
    return [
      become({ phase: "written", targets: [digest], left: left - 1 }, { ...world, bytes: [...world.bytes, digest] }),
    ];
  }
  const [manifest = ""] = targets;
  const step = Number.parseInt(manifest.slice(-8), 16);
  const place = { manifest, step, directory: directoryName(step, attempt), bytes: 1, metrics: [], unhealthy: false };
  const record: LogRecord = { ...common, kind: "commit", writer: pod, attempt, ...place };
  if (phase === "written") {
    const careless = mistake === "writes a commit without looking for a fence";
    return [
      become(careless || counts(world, record) ? { phase: "ready", seen: read(world).last } : { phase: "stopped" }),
    ];
  }
  if (phase === "ready") {
    const next = create(world, seen + 1, record);
    return [next === null ? become({ phase: "written" }) : become({ phase: "won" }, next)];
  }
  if (phase !== "won") return [];
  if (mistake === "trusts a number that it won" || stands(world, seen + 1, record)) {
    return [become({ phase: "acknowledged" })];
  }
  // A renewal of its own attempt's open may have pruned the record, and carries what it said.
  const state = read(world);
  const isCarried = state.opened?.attempt === attempt && find(state, manifest) !== undefined;
  return [become({ phase: isCarried ? "acknowledged" : "stopped" })];
}

/** Plans from what it reads, wins a tombstone right after it, and only then removes bytes, one by one. */
function pruneMoves(world: World, actor: Actor, { become, mistake }: Context): World[] {
  const { attempt, pod, phase, seen, targets } = actor;
  const hasty = mistake === "removes bytes before the tombstone has won";
  if (phase === "start") {
    const state = read(world);
    if (state.opened?.attempt !== attempt) return [become({ phase: "stopped" })];
    const verified = lineage(state).map(({ digest }) => digest);
    const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
    const { remove } = retain({ state, policy, verified, recorded: [], now: common.time });
    if (remove.length === 0) return [];
    const digests = remove.map(({ ref }) => ref.digest);
    return [become({ phase: hasty ? "removing" : "planned", seen: state.last, targets: digests })];
  }
  const record: LogRecord = { ...common, kind: "delete", writer: pod, attempt, manifests: [...targets], why: "" };
  if (phase === "planned") {
    const stubborn = mistake === "takes an old plan to the next number";
    if (stubborn && !counts(world, record)) return [become({ phase: "stopped" })];
    const number = stubborn ? world.all.length + 1 : seen + 1;
    const next = create(world, number, record);
    return [next === null ? become({ phase: "start", targets: [] }) : become({ phase: "won", seen: number - 1 }, next)];
  }
  if (phase === "won") return [become({ phase: stands(world, seen + 1, record) ? "removing" : "stopped" })];
  if (phase !== "removing") return [];
  const [first, ...rest] = targets;
  if (first === undefined) return [become({ phase: "pruned" })];
  return [become({ targets: rest }, { ...world, bytes: world.bytes.filter((digest) => digest !== first) })];
}

/**
 * Renews its attempt's open from what it has read, and prunes the log below the open that it has read, lowest first,
 * sleeping between any two steps.
 */
function compactMoves(world: World, actor: Actor, { become, mistake }: Context): World[] {
  const { attempt, pod, phase, seen, left } = actor;
  if (phase === "start") {
    const { opened, last } = read(world);
    if (opened === null) return [];
    const compacting = become({ phase: "compacting", seen: opened.number });
    const isOurs = opened.attempt === attempt && opened.podUid === pod;
    return left > 0 && isOurs ? [compacting, become({ phase: "renewing", seen: last, left: left - 1 })] : [compacting];
  }
  if (phase === "renewing") {
    const state = truth(world, Math.min(seen, world.all.length));
    const draft = { podUid: pod, node: "n", base: state.opened?.base ?? null, generation: 1, state: carry(state) };
    const record: LogRecord = { ...common, kind: "open", writer: `${pod}-again`, attempt, ...draft };
    const stubborn = mistake === "renews its open under the next number with an old fold";
    const next = create(world, stubborn ? world.all.length + 1 : seen + 1, record);
    return [become({ phase: next === null ? "start" : "renewed" }, next ?? world)];
  }
  if (phase === "renewed") return [become({ phase: "start" })];
  if (phase !== "compacting" || world.pruned + 1 >= seen) return [];
  return [become({}, { ...world, pruned: world.pruned + 1 })];
}
