import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";

/** What computes: the processor's or the GPU's model, and the GPU's driver. What cannot be known is left out. */
export type HardwareFacts = { readonly model?: string; readonly driver?: string };

/** Where NVIDIA's driver tells about itself and its GPUs. */
const nvidiaDirectory = "/proc/driver/nvidia";

/** The facts about the kind of device that is trained on. */
export function hardwareFacts(kind: string, directory = nvidiaDirectory): HardwareFacts {
  if (kind !== "gpu") return withModel(cpus()[0]?.model);
  const driver = /NVRM version:.*?\s(\d+(?:\.\d+)+)\s/.exec(textOf(join(directory, "version")))?.[1];
  return { ...withModel(gpuModels(join(directory, "gpus"))), ...(driver === undefined ? {} : { driver }) };
}

function withModel(model: string | undefined): Pick<HardwareFacts, "model"> {
  const trimmed = model?.trim() ?? "";
  return trimmed === "" ? {} : { model: trimmed };
}

/** All models that are there, each once: which of several one trains on is not said here. */
function gpuModels(directory: string): string {
  const models = namesIn(directory).map(
    (name) => /^Model:\s*(.+)$/m.exec(textOf(join(directory, name, "information")))?.[1]?.trim() ?? "",
  );
  return [...new Set(models.filter((model) => model !== ""))].sort().join(", ");
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Facts are for comparison, so one that cannot be read is one that is not known. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
