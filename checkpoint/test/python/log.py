"""The log of a run in one tier: its records, their fold, and the candidates, as FORMAT.md says under "The log"."""

import re
from pathlib import Path

from canonical_json import Refused, parse
from members import Members, algorithm_of, seal

RECORD_BYTES = 4 * 1024 * 1024
ANY_NUMBER = 2**31


class UnknownVersion(Exception):
    """Not damage: written by a later program, and to be left alone."""


def read_records(directory):
    """From the newest whole `open` on: (number, record), the record None where it is damaged."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    numbers = {int(name[:12]) for name in names if re.fullmatch(r"\d{12}\.json", name, re.ASCII)}
    found = []
    for number in range(max(numbers, default=0), min(numbers, default=1) - 1, -1):
        record = _record(directory / f"{number:012d}.json") if number in numbers else None
        found.insert(0, (number, record))
        if record is not None and record["kind"] == "open":
            break
    return found


def announced_opens(directory):
    """The highest attempt that announced an `open` under each number."""
    highest = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        match = re.fullmatch(r"(\d{12})\.open-a(\d{4,9})", path.name, re.ASCII)
        if match:
            number, attempt = map(int, match.groups())
            highest[number] = max(attempt, highest.get(number, 0))
    return highest


def fold(records, announced):
    """The state of the run: every record in order, those that do not count changing nothing."""
    state = State()
    for index, (number, record) in enumerate(records):
        if record is None:
            state.lose(number, announced.get(number))
            continue
        if index == 0 and record["kind"] == "open":
            state.carry_over(record["state"])
        if state.counts(record):
            state.take(number, record)
    state.last = records[-1][0] if records else 0
    return state


def merge(volume, bucket):
    """What two logs say together, as FORMAT.md says under "Two tiers"."""
    leading, other = (bucket, volume) if _rank(bucket) > _rank(volume) else (volume, bucket)
    merged = State()
    merged.opened = leading.opened
    merged.checkpoints = other.checkpoints | leading.checkpoints
    merged.refused = other.refused | leading.refused
    merged.bases = dict(leading.bases)
    for attempt, base in other.bases.items():
        if attempt not in merged.bases or _step(base) > _step(merged.bases[attempt]):
            merged.bases[attempt] = base
    return merged


def _rank(state):
    """The fence, then the open attempt, which is below it where the `open` that set the fence is damaged."""
    return tuple(place["attempt"] if place else 0 for place in (state.fence, state.opened))


def _step(base):
    return base["step"] if base else -1


def directory_name(step, attempt):
    return f"step-{step:012d}-a{attempt:04d}"


class State:
    """What a log says."""

    def __init__(self):
        self.last, self.opened, self.fence, self.done, self.damaged = 0, None, None, None, []
        self.carry_over({"attempts": [], "checkpoints": [], "refused": []})

    def carry_over(self, carried):
        self.bases = {link["attempt"]: link["base"] for link in carried["attempts"]}
        self.checkpoints = {ref["digest"]: ref for ref in carried["checkpoints"]}
        self.refused = {refusal["digest"]: refusal for refusal in carried["refused"]}
        self.deleted = {}

    def lose(self, number, attempt):
        self.damaged.append(number)
        if attempt is not None and attempt > (self.fence or {"attempt": 0})["attempt"]:
            self.fence = {"attempt": attempt, "number": number}

    def counts(self, record):
        kind, attempt = record["kind"], record["attempt"]
        opened = (self.opened or {"attempt": None})["attempt"]
        if self.fence is not None:
            if attempt < self.fence["attempt"]:
                return False
            if attempt == self.fence["attempt"] != opened:
                return False
        if kind == "open":
            return self._open_counts(record, attempt == opened)
        if opened is None or (attempt > opened and kind != "refuse"):
            return False
        if kind == "commit":
            return self._commit_counts(record)
        if kind == "delete":
            return all(
                digest in self.checkpoints and digest not in (self.opened["base"], self.done)
                for digest in record["manifests"]
            )
        return record["manifest"] in self.checkpoints and record["manifest"] not in self.refused

    def _open_counts(self, record, is_same_attempt):
        if is_same_attempt:
            if record["podUid"] != self.opened["podUid"] or self.done is not None:
                return False
            own = (ref for ref in self.checkpoints.values() if ref["attempt"] == record["attempt"])
            has_commits = any(ref["digest"] != self.opened["base"] for ref in own)
            if record["base"] != self.opened["base"] and has_commits:
                return False
        carried, base = record["state"], record["base"]
        return base is None or (
            any(ref["digest"] == base for ref in carried["checkpoints"])
            and all(refusal["digest"] != base for refusal in carried["refused"])
        )

    def _commit_counts(self, record):
        base = self.checkpoints.get(self.opened["base"])
        taken = {ref["directory"] for ref in (*self.checkpoints.values(), *self.deleted.values())}
        return (
            record["step"] >= (base["step"] if base else 0)
            and record["manifest"] not in self.checkpoints
            and record["manifest"] not in self.deleted
            and record["directory"] == directory_name(record["step"], record["attempt"])
            and record["directory"] not in taken
        )

    def take(self, number, record):
        kind, attempt = record["kind"], record["attempt"]
        if kind == "open":
            self.carry_over(record["state"])
            ref = self.checkpoints.get(record["base"])
            # A base of the attempt's own is a copy of another run's: the lineage begins with it.
            is_linked = ref is not None and ref["attempt"] != attempt
            self.bases[attempt] = {key: ref[key] for key in ("digest", "attempt", "step")} if is_linked else None
            self.opened = {key: record[key] for key in ("attempt", "podUid", "base")} | {"number": number}
            self.fence, self.done = {"attempt": attempt, "number": number}, None
        elif kind == "commit":
            self.checkpoints[record["manifest"]] = record | {"digest": record["manifest"]}
        elif kind == "refuse":
            self.refused[record["manifest"]] = record
        elif kind == "delete":
            for digest in record["manifests"]:
                if digest in self.checkpoints:
                    self.deleted[digest] = self.checkpoints.pop(digest)
                    self.refused.pop(digest, None)
        else:
            self.done = record["manifest"]

    def candidates(self):
        """What a resume may start from, newest first."""
        found, below = [], float("inf")
        attempt = self.opened and self.opened["attempt"]
        for _ in range(len(self.bases) + 1):
            own = [ref for ref in self.checkpoints.values() if ref["attempt"] == attempt and ref["step"] <= below]
            found += sorted(own, key=lambda ref: -ref["step"])
            base = self.bases.get(attempt)
            if base is None:
                break
            attempt, below = base["attempt"], base["step"]
        return [ref for ref in found if ref["digest"] not in self.refused]


def _record(path):
    """A whole record, or None where it is damaged."""
    data = path.read_bytes()
    if len(data) > RECORD_BYTES:
        return None
    try:
        value = parse(data, "record")
        digest = Members(value, "record").digest("digest")
        if seal(value, algorithm_of(digest), "record") != digest:
            return None
        if (version := Members(value, "record").integer("version")) != 1:
            raise UnknownVersion(f"record {int(path.stem)} of the log is of version {version}: this reader knows 1")
        return _checked(value)
    except Refused:
        return None


def _checked(value):
    record = Members(value, "record")
    kind, common = value.get("kind"), {"attempt": record.integer("attempt", 1)}
    record.text("writer", 63, 1)
    record.time("time")
    if kind == "open":
        record.text("node", 253)
        record.integer("generation")
        own = {"podUid": record.text("podUid", 63, 1), "base": record.digest_or_none("base")}
        return common | own | {"kind": kind, "state": _carried(record.object("state"))}
    if kind == "commit":
        return common | {"kind": kind, "manifest": record.digest("manifest")} | _checkpoint(record)
    if kind == "refuse":
        return common | {"kind": kind, "manifest": record.digest("manifest")} | _refusal(record, 1)
    if kind == "delete":
        record.text("why", 512)
        manifests = [Members({"digest": one}, "record").digest("digest") for one in record.list("manifests", 1024, 1)]
        return common | {"kind": kind, "manifests": manifests}
    if kind == "done":
        return common | {"kind": kind, "manifest": record.digest("manifest")}
    raise Refused("record", f"its kind must not be {kind!r}")


def _checkpoint(record):
    held = {"step": record.integer("step"), "directory": record.text("directory", 255, 1)}
    held |= {"bytes": record.integer("bytes"), "metrics": record.metrics()} | record.epoch()
    return held | {"unhealthy": record.boolean("unhealthy")}


def _refusal(record, least):
    record.text("node", 253)
    return {"reason": record.text("reason", 63, least), "message": record.text("message", 512)}


def _carried(state):
    checkpoints, refused, attempts = [], [], []
    for one in (Members(value, "record") for value in state.list("checkpoints", ANY_NUMBER)):
        one.time("time")
        held = {"digest": one.digest("digest"), "attempt": one.integer("attempt", 1)} | _checkpoint(one)
        checkpoints.append(held | one.mark("chosen") | one.mark("accepted"))
    for one in (Members(value, "record") for value in state.list("refused", ANY_NUMBER)):
        one.time("time")
        one.integer("attempt", 1)
        refused.append({"digest": one.digest("digest")} | _refusal(one, 0))
    for value in state.list("attempts", ANY_NUMBER):
        link, base = Members(value, "record"), value.get("base", False)
        if base is not None:
            held = link.object("base")
            base = {key: held.integer(key, least) for key, least in (("attempt", 1), ("step", 0))}
            base["digest"] = held.digest("digest")
        attempts.append({"attempt": link.integer("attempt", 1), "base": base})
    return {"attempts": attempts, "checkpoints": checkpoints, "refused": refused}
