"""Strict JSON and its one canonical text, as FORMAT.md says under "JSON"."""

import json
import re

MAX_DEPTH = 32


class Refused(Exception):
    """Bytes that break a rule; the first argument is the reason's word, the second says more."""


def parse(data, what):
    """The value of bytes that must be the canonical text of it."""
    value = parse_loosely(data, what)
    if write(value, what).encode() != bytes(data):
        raise Refused(what, "its text is not canonical")
    return value


def parse_loosely(data, what):
    """The value of bytes that may hold any white space; numbers are `float`."""
    try:
        text = bytes(data).decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=float, parse_float=float)
    except (ValueError, RecursionError) as error:
        raise Refused(what, str(error)) from error
    write(value, what)  # for what `json` lets pass: depth, surrogates, infinity
    return value


def write(value, what="a value", depth=0):
    """The canonical text of a value; numbers may be `int` or `float`."""
    if depth > MAX_DEPTH:
        raise Refused(what, "it nests too deep")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number(float(value), what)
    if isinstance(value, str):
        return _string(value, what)
    if isinstance(value, list):
        return "[" + ",".join(write(item, what, depth + 1) for item in value) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    members = (f"{_string(name, what)}:{write(value[name], what, depth + 1)}" for name in names)
    return "{" + ",".join(members) + "}"


def number(value, what="a number"):
    """A double as ECMAScript writes it: the fewest digits that lead back to it."""
    if value != value or value in (float("inf"), float("-inf")):
        raise Refused(what, "a number must be finite")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, exponent = re.fullmatch(r"([\d.]+?)(?:e([+-]\d+))?", repr(abs(value))).groups()
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _placed(digits, point)


def _placed(digits, point):
    """The digits with the point behind the first `point` of them."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = f"e{point - 1:+d}"
    return digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "") + power


def _string(text, what):
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise Refused(what, "a string must be well-formed Unicode")
    return json.dumps(text, ensure_ascii=False)


def _object(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member may appear once")
    if "__proto__" in found:
        raise ValueError("no member may be named __proto__")
    return found


def _no_constant(word):
    raise ValueError(f"{word} is no JSON")
