"""One checkpoint's directory: its manifest, and the match of every byte to it, as FORMAT.md says."""

import math
import os
import re
import stat
import unicodedata

from canonical_json import Refused, parse, parse_loosely
from members import Members, algorithm_of, hashed, seal
from log import UnknownVersion, directory_name

MANIFEST, MANIFEST_BYTES, CHUNK = "MANIFEST.json", 8 * 1024 * 1024, 8 * 1024 * 1024
HEADER_BYTES, MOST_FILES, MOST_CHUNKS = 8 * 1024 * 1024, 10_000, 14_000
BYTES = dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"), 1) | dict.fromkeys(("I16", "U16", "F16", "BF16"), 2)
BYTES |= dict.fromkeys(("I32", "U32", "F32"), 4) | dict.fromkeys(("I64", "U64", "F64", "C64"), 8)


def verify(directory, run_uid, digest):
    """The manifest when every byte matches it; raises `Refused` with the reason's word."""
    names = _names(directory)
    manifest = _manifest(directory, names)
    if manifest["digest"] != digest:
        raise Refused("ManifestDiffers", f"its manifest is {manifest['digest']}")
    place = directory_name(int(manifest["step"]), int(manifest["attempt"]))
    if manifest["runUid"] != run_uid or place != directory.name:
        raise Refused("WrongPlace", f"it belongs to run {manifest['runUid']}, {place}")
    named = {file["path"] for file in manifest["files"]}
    for path in sorted(named - names):
        raise Refused("FileMissing", path)
    for path in sorted(names - named - {MANIFEST}):
        raise Refused("FileExtra", path)
    for file in manifest["files"]:
        if (directory / file["path"]).stat().st_size != file["bytes"]:
            raise Refused("SizeDiffers", file["path"])
        if file["kind"] == "tensors":
            tensors(directory / file["path"])
    for file in manifest["files"]:
        _match(directory / file["path"], file)
    return manifest


def tensors(path):
    """Name, dtype, shape and byte range of every tensor of a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER_BYTES, size - 8):
            raise Refused("TensorsInvalid", f"a header of {length} bytes")
        text = file.read(length)
    if text[:1] != b"{":
        raise Refused("TensorsInvalid", "the header must begin with {")
    header = parse_loosely(text, "TensorsInvalid")
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(one, str) for one in texts.values()):
        raise Refused("TensorsInvalid", "metadata must be text by name")
    found = sorted((_tensor(name, entry) for name, entry in header.items()), key=lambda one: (one["begin"], one["bytes"]))
    at = 0
    for tensor in found:
        if tensor["begin"] != at:
            raise Refused("TensorsInvalid", f"{tensor['name']} must begin where the one before it ends")
        at += tensor["bytes"]
        tensor["begin"] += 8 + length
    if 8 + length + at != size:
        raise Refused("TensorsInvalid", "the tensors must end where the file ends")
    return found


def _tensor(name, entry):
    members = Members(entry, "TensorsInvalid")
    shape = members.integers("shape", 16)
    begin, end = members.integers("data_offsets", 2, 2)
    dtype = members.text("dtype", 7)
    if len(entry) != 3 or dtype not in BYTES or end - begin != math.prod(shape) * BYTES[dtype]:
        raise Refused("TensorsInvalid", f"{name} must have a known type, whose size fits its shape")
    return {"name": name, "dtype": dtype, "shape": shape, "begin": begin, "bytes": end - begin}


def _names(directory):
    """Every plain file below the directory."""
    if not os.path.lexists(directory):
        raise Refused("Missing", str(directory))
    if directory.is_symlink() or not directory.is_dir():
        raise Refused("NotAFile", str(directory))
    found = set()
    for parent, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Refused("NotAFile", path)
            if stat.S_ISREG(mode):
                found.add(os.path.relpath(path, directory))
    return found


def _manifest(directory, names):
    if MANIFEST not in names:
        raise Refused("ManifestMissing", str(directory))
    with (directory / MANIFEST).open("rb") as file:
        data = file.read(MANIFEST_BYTES + 1)
    if len(data) > MANIFEST_BYTES:
        raise Refused("ManifestInvalid", "it is too long")
    value = parse(data, "ManifestInvalid")
    members = Members(value, "ManifestInvalid")
    digest = members.digest("digest")
    if seal(value, algorithm_of(digest), "ManifestInvalid") != digest:
        raise Refused("ManifestInvalid", "its digest must match its text")
    if (version := members.integer("format")) != 1:
        raise UnknownVersion(f"{directory.name} is of format {version}: this reader knows 1")
    _check_members(members)
    files = [_file(Members(one, "ManifestInvalid")) for one in members.list("files", MOST_FILES)]
    _check_together(files, members.object("totals"))
    return value | {"files": files}


def _check_members(members):
    members.text("runUid", 63, 1)
    members.integer("attempt", 1)
    members.integer("step")
    members.digest_or_none("parent")
    members.metrics()
    members.epoch()
    members.time("time")
    producer, health = members.object("producer"), members.object("health")
    for name in ("name", "version"):
        producer.text(name, 63, 1)
    for name in ("nonFinite", "unexpected"):
        health.integer(f"{name}Tensors")
        for tensor in health.list(name, 1000):
            Members({"name": tensor}, "ManifestInvalid").text("name", 256, 1)


def _file(members):
    file = {"path": members.text("path", 512, 1), "kind": members.text("kind", 7), "bytes": members.integer("bytes")}
    file |= {"algorithm": members.text("algorithm", 6), "digest": members.digest("digest")}
    file |= {"chunkBytes": members.integer("chunkBytes", CHUNK), "chunks": members.list("chunks", MOST_CHUNKS)}
    broken = (
        _breaks_a_rule(file["path"])
        or file["kind"] not in ("tensors", "json", "opaque")
        or file["algorithm"] != algorithm_of(file["digest"])
        or file["chunkBytes"] % CHUNK
        or len(file["chunks"]) != -(-file["bytes"] // file["chunkBytes"])
        or not all(isinstance(chunk, str) and re.fullmatch("[0-9a-f]{64}", chunk) for chunk in file["chunks"])
        or hashed(file["algorithm"], bytes.fromhex("".join(file["chunks"]))).hex() != file["digest"].partition(":")[2]
    )
    if broken:
        raise Refused("ManifestInvalid", file["path"])
    return file


def _breaks_a_rule(path):
    segments = path.split("/")
    return (
        len(path.encode()) > 512
        or unicodedata.normalize("NFC", path) != path
        or any(unicodedata.category(character) == "Cc" or character == "\\" for character in path)
        or segments[0] in (MANIFEST, f"{MANIFEST}.tmp")
        or any(segment in ("", ".", "..") or len(segment.encode()) > 255 for segment in segments)
    )


def _check_together(files, totals):
    paths = [file["path"] for file in files]
    parents = {path[:at] for path in paths for at, character in enumerate(path) if character == "/"}
    in_order = sorted(set(paths), key=lambda path: path.encode("utf-16-be"))
    sums = totals.integer("files") == len(files) and totals.integer("bytes") == sum(file["bytes"] for file in files)
    if paths != in_order or parents & set(paths) or not sums:
        raise Refused("ManifestInvalid", "files must be sorted, apart from each other, and add up to the totals")


def _match(path, file):
    with path.open("rb") as stored:
        for index, chunk in enumerate(file["chunks"]):
            if hashed(file["algorithm"], stored.read(file["chunkBytes"])).hex() != chunk:
                raise Refused("BytesDiffer", f"chunk {index} of {file['path']}")
