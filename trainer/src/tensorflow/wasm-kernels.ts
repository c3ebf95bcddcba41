import type * as tfjs from "@tensorflow/tfjs";

type TensorFlow = typeof tfjs;

/** What kernels of one backend use of it; the published typings leave it out. */
type KernelBackend = tfjs.KernelBackend & {
  makeOutput(shape: number[], dtype: string): tfjs.TensorInfo;
  typedArrayFromHeap(tensor: tfjs.TensorInfo): { set(values: ArrayLike<number>): void };
};
type PlainBackend = tfjs.KernelBackend & {
  makeTensorInfo(shape: number[], dtype: string, values: unknown): tfjs.TensorInfo;
  disposeIntermediateTensorInfo(tensor: tfjs.TensorInfo): void;
};
type KernelCall = Parameters<tfjs.KernelFunc>[0];

/**
 * The wasm backend was made for inference: some kernels that gradients need are missing. The one that every
 * convolutional network needs is composed here of kernels that it has; the others run in plain JavaScript on copies of
 * their inputs, which is slow and is said once per kernel.
 */
export function completeWasmKernels(tf: TensorFlow): void {
  const present = new Set(tf.getKernelsForBackend("wasm").map(({ kernelName }) => kernelName));
  if (!present.has("Conv2DBackpropFilter")) {
    tf.registerKernel({
      kernelName: "Conv2DBackpropFilter",
      backendName: "wasm",
      kernelFunc: (call) => conv2dFilterGradient(tf, call),
    });
    present.add("Conv2DBackpropFilter");
  }
  for (const kernel of tf.getKernelsForBackend("cpu")) {
    if (!present.has(kernel.kernelName)) tf.registerKernel(fallback(tf, kernel));
  }
}

/**
 * The gradient of a convolution by its filter is itself a convolution: of the padded input with the output's gradient
 * as filter, batch and channels changing places, the forward stride becoming the dilation.
 */
function conv2dFilterGradient(tf: TensorFlow, { inputs, attrs }: KernelCall): tfjs.TensorInfo {
  const { x, dy } = inputs as unknown as { x: tfjs.Tensor4D; dy: tfjs.Tensor4D };
  const { strides, pad, filterShape, dataFormat, dimRoundingMode } = attrs as unknown as {
    strides: number | [number, number];
    pad: "valid" | "same" | number;
    filterShape: [number, number, number, number];
    dataFormat: "NHWC" | "NCHW";
    dimRoundingMode?: "floor" | "round" | "ceil";
  };
  if (dataFormat === "NCHW") throw new Error("Cannot train on WebAssembly with channels first: use channelsLast.");
  const plan = tf.backend_util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad, dimRoundingMode);
  const { top, bottom, left, right } = plan.padInfo;
  return tf.tidy(() => {
    const padded = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]]); // biome-ignore format: one row per axis pair reads best
    // Rows and columns behind the last window took no part in the forward pass.
    const height = (plan.outHeight - 1) * plan.strideHeight + plan.filterHeight;
    const width = (plan.outWidth - 1) * plan.strideWidth + plan.filterWidth;
    const used = tf.slice(padded, [0, 0, 0, 0], [-1, height, width, -1]);
    const channelsAsBatch = tf.transpose(used, [3, 1, 2, 0]) as tfjs.Tensor4D;
    const gradientAsFilter = tf.transpose(dy, [1, 2, 0, 3]) as tfjs.Tensor4D;
    const dilations: [number, number] = [plan.strideHeight, plan.strideWidth];
    const gradient = tf.conv2d(channelsAsBatch, gradientAsFilter, 1, "valid", "NHWC", dilations);
    return tf.transpose(gradient, [1, 2, 0, 3]);
  });
}

/** A kernel of the JavaScript backend that takes its inputs from, and puts its outputs into, the wasm backend. */
function fallback(tf: TensorFlow, kernel: tfjs.KernelConfig): tfjs.KernelConfig {
  let said = false;
  return {
    kernelName: kernel.kernelName,
    backendName: "wasm",
    kernelFunc: (call) => {
      if (!said) console.error(`The wasm backend has no ${kernel.kernelName}: it runs in plain JavaScript, slowly.`);
      said = true;
      const wasm = call.backend as KernelBackend;
      const plain = tf.findBackend("cpu") as PlainBackend;
      const copies = Object.entries(call.inputs).flatMap(([name, tensor]) =>
        tensor === undefined || tensor === null ? [] : [[name, copyTo(plain, wasm, tensor)] as const],
      );
      const inputs = Array.isArray(call.inputs) ? copies.map(([, copy]) => copy) : Object.fromEntries(copies);
      const made = kernel.kernelFunc({ ...call, inputs: inputs as KernelCall["inputs"], backend: plain });
      const outputs = (Array.isArray(made) ? made : [made]).map((output) => moveTo(wasm, plain, output));
      for (const [, copy] of copies) plain.disposeIntermediateTensorInfo(copy);
      return Array.isArray(made) ? outputs : (outputs[0] ?? []);
    },
  };
}

function copyTo(plain: PlainBackend, wasm: KernelBackend, { shape, dtype, dataId }: tfjs.TensorInfo): tfjs.TensorInfo {
  return plain.makeTensorInfo(shape, dtype, wasm.readSync(dataId));
}

function moveTo(wasm: KernelBackend, plain: PlainBackend, output: tfjs.TensorInfo): tfjs.TensorInfo {
  const moved = wasm.makeOutput(output.shape, output.dtype);
  wasm.typedArrayFromHeap(moved).set(plain.readSync(output.dataId) as ArrayLike<number>);
  plain.disposeIntermediateTensorInfo(output);
  return moved;
}
