"""What the members of records and manifests may hold, as FORMAT.md says under "Members"."""

import hashlib
import re
from datetime import datetime

from blake3_pure import blake3
from canonical_json import Refused, write

DIGEST = re.compile(r"(blake3|sha256):[0-9a-f]{64}")
DECIMAL = re.compile(r"NaN|-?Infinity|-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z", re.ASCII)
LARGEST_INTEGER = 2**53 - 1


def hashed(algorithm, data):
    """The digest's 32 bytes."""
    return blake3(data) if algorithm == "blake3" else hashlib.sha256(data).digest()


def seal(value, algorithm, what):
    """The digest over the canonical text of `value` without its member `digest`."""
    unsealed = {name: member for name, member in value.items() if name != "digest"}
    return f"{algorithm}:{hashed(algorithm, write(unsealed, what).encode()).hex()}"


def algorithm_of(digest):
    return digest.partition(":")[0]


class Members:
    """Takes members out of an object, and refuses the object for one that is missing or wrong."""

    def __init__(self, value, what):
        if not isinstance(value, dict):
            raise Refused(what, "it must be an object")
        self._value, self._what = value, what

    def integer(self, name, least=0):
        value = self._value.get(name)
        whole = isinstance(value, float) and value.is_integer() and least <= value <= LARGEST_INTEGER
        return int(self._held(name, value, whole))

    def number(self, name):
        value = self._value.get(name)
        return self._held(name, value, isinstance(value, float) and value >= 0)

    def text(self, name, most, least=0):
        value = self._value.get(name)
        fits = isinstance(value, str) and least <= len(value.encode("utf-16-le")) // 2 <= most
        return self._held(name, value, fits)

    def boolean(self, name):
        value = self._value.get(name)
        return self._held(name, value, isinstance(value, bool))

    def mark(self, name):
        """A member that is `true` or not there."""
        return {name: self._held(name, self._value[name], self._value[name] is True)} if name in self._value else {}

    def digest(self, name):
        return self._matching(name, DIGEST)

    def digest_or_none(self, name):
        return None if self._value.get(name, False) is None else self.digest(name)

    def time(self, name):
        value = self._matching(name, TIME)
        try:
            datetime.strptime(value[:16], "%Y-%m-%dT%H:%M")
        except ValueError as error:
            raise Refused(self._what, f"{name}: {error}") from error
        return value

    def list(self, name, most, least=0):
        value = self._value.get(name)
        return self._held(name, value, isinstance(value, list) and least <= len(value) <= most)

    def integers(self, name, most, least=0):
        return [Members({name: one}, self._what).integer(name) for one in self.list(name, most, least)]

    def object(self, name):
        return Members(self._value.get(name), self._what)

    def metrics(self, name="metrics"):
        return [
            {"name": metric.text("name", 63, 1), "value": metric._matching("value", DECIMAL, 32)}
            for metric in (Members(one, self._what) for one in self.list(name, 32))
        ]

    def epoch(self):
        return {"epoch": self.number("epoch")} if "epoch" in self._value else {}

    def _matching(self, name, pattern, most=None):
        value = self._value.get(name)
        fits = isinstance(value, str) and pattern.fullmatch(value) and (most is None or len(value) <= most)
        return self._held(name, value, fits)

    def _held(self, name, value, rule_holds):
        if not rule_holds:
            raise Refused(self._what, f"{name} must not be {str(value)[:60]!r}")
        return value
