"""A reader of TrainingRun checkpoints that was written from FORMAT.md alone, to show that it can be.

    python3 reader.py DIRECTORY RUN_UID [BUCKET_DIRECTORY]

prints, as JSON, what the log in the run's directory says, what a resume would start from, and for every checkpoint whether
each byte matches. With a copy of what the run has in its bucket, it says what a resume from both would start from. It needs nothing but the standard library; where the package `safetensors` can be imported, it reads
every file of tensors with it as well.
"""

import hashlib
import json
import sys
from pathlib import Path

from canonical_json import Refused
from checkpoint import tensors, verify
from log import UnknownVersion, announced_opens, fold, merge, read_records

try:
    from safetensors import deserialize
except ImportError:
    deserialize = None


def report(root, run_uid, bucket=None):
    state = _state(root)
    both = state if bucket is None else merge(state, _state(bucket))
    return {
        "last": state.last,
        "opened": state.opened and {key: state.opened[key] for key in ("attempt", "base", "number")},
        "fence": state.fence,
        "damaged": state.damaged,
        "checkpoints": [_checkpoint(root, run_uid, ref) for ref in state.checkpoints.values()],
        "refused": list(state.refused),
        "deleted": [ref["directory"] for ref in state.deleted.values()],
        "done": state.done,
        "candidates": [ref["digest"] for ref in both.candidates()],
        "safetensors": deserialize is not None,
    }


def _state(root):
    return fold(read_records(root / "log"), announced_opens(root / "log"))


def _checkpoint(root, run_uid, ref):
    directory = root / "data" / ref["directory"]
    shown = {key: ref[key] for key in ("digest", "step", "attempt", "directory", "metrics", "unhealthy")}
    shown |= {key: ref[key] for key in ("epoch", "chosen", "accepted") if key in ref}
    try:
        manifest = verify(directory, run_uid, ref["digest"])
    except UnknownVersion as error:
        return shown | {"verdict": "UnknownVersion", "message": str(error)}
    except Refused as refusal:
        return shown | {"verdict": refusal.args[0], "message": refusal.args[1]}
    files = {file["path"]: file["digest"] for file in manifest["files"]}
    paths = [file["path"] for file in manifest["files"] if file["kind"] == "tensors"]
    found = {path: sorted(_tensors(directory / path), key=lambda one: one["name"]) for path in paths}
    return shown | {"verdict": "Whole", "files": files, "tensors": found}


def _tensors(path):
    """Every tensor by its own reading of the header, which the package, where it is here, must agree with."""
    data = path.read_bytes()
    own = [
        {"name": one["name"], "dtype": one["dtype"], "shape": one["shape"], "sha256": _sha256(data, one)}
        for one in tensors(path)
    ]
    if deserialize is not None:
        theirs = [
            {"name": name, "dtype": one["dtype"], "shape": one["shape"], "sha256": hashlib.sha256(one["data"]).hexdigest()}
            for name, one in deserialize(data)
        ]
        if sorted(map(str, own)) != sorted(map(str, theirs)):
            raise Refused("TensorsInvalid", f"safetensors reads {path.name} otherwise")
    return own


def _sha256(data, tensor):
    return hashlib.sha256(data[tensor["begin"] : tensor["begin"] + tensor["bytes"]]).hexdigest()


if __name__ == "__main__":
    try:
        print(json.dumps(report(Path(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:]))))
    except UnknownVersion as error:
        sys.exit(f"Cannot read the run because {error}")
