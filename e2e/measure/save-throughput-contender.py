"""One contender of the save measurement: NAME DIRECTORY BYTES. Prints {seconds, cpuSeconds, peakBytes} as its last line.

The state is what save-throughput-contender.ts saves: float32 tensors of 32 MiB. A small save comes first, as there.
"""

import json
import os
import resource
import sys
import time

import numpy

TENSOR_BYTES = 32 * 1024 * 1024


def state(total):
    base = numpy.mod(numpy.arange(TENSOR_BYTES // 4, dtype=numpy.float32) * numpy.float32(0.618), numpy.float32(1))
    tensors = {}
    for index in range(total // TENSOR_BYTES):
        values = base.copy()
        values[0] = index
        tensors[f"layer{index:03}/kernel"] = values
    return tensors


def in_torch(tensors):
    import torch

    return {name: torch.from_numpy(values) for name, values in tensors.items()}


def saver(name):
    if name == "safetensors-numpy":
        from safetensors.numpy import save_file

        return save_file, lambda tensors: tensors
    if name == "safetensors-torch":
        from safetensors.torch import save_file

        return save_file, in_torch
    if name == "torch-save":
        import torch

        return torch.save, in_torch
    raise SystemExit(f"Cannot run {name}: it is not known")


def durably(save, tensors, path):
    save(tensors, path)
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def main(name, directory, total):
    save, convert = saver(name)
    tensors = convert(state(int(total)))
    durably(save, dict(list(tensors.items())[:2]), os.path.join(directory, "first"))
    began, cpu = time.perf_counter(), time.process_time()
    durably(save, tensors, os.path.join(directory, "second"))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "peakBytes": peak}))


main(*sys.argv[1:])
