import { spawn } from "node:child_process";
import { connect } from "node:net";
import { Agent, request } from "undici";
import { aborted, pause } from "../backoff.ts";
import type { Container, Handler } from "../pod/pod.ts";
import { signalGroup } from "../process-ledger.ts";

/** What a probe or hook needs to know of the container it is for. */
export interface HandlerTarget {
  readonly podIP: string;
  readonly ports: Container["ports"];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Turns the container's paths in a command into this machine's. */
  readonly rewrite: (text: string) => string;
}

/** Does what a probe or hook says; true when it went well before the signal. */
export async function runHandler(handler: Handler, target: HandlerTarget, signal: AbortSignal): Promise<boolean> {
  if (handler.exec !== undefined) return runCommand(handler.exec.command.map(target.rewrite), target, signal);
  if (handler.httpGet !== undefined) return getUrl(handler.httpGet, target, signal);
  if (handler.tcpSocket !== undefined) {
    const port = portNumber(handler.tcpSocket.port, target);
    return port !== undefined && canConnect(handler.tcpSocket.host ?? target.podIP, port, signal);
  }
  if (handler.sleep !== undefined) await pause(handler.sleep.seconds * 1_000, signal);
  return !signal.aborted;
}

async function runCommand(command: readonly string[], target: HandlerTarget, signal: AbortSignal): Promise<boolean> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    cwd: target.workingDirectory,
    env: target.env,
    stdio: "ignore",
    detached: true,
  });
  const ended = new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
  const isSuccess = await Promise.race([ended, aborted(signal).then(() => false)]);
  if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  return isSuccess;
}

async function getUrl(
  get: NonNullable<Handler["httpGet"]>,
  target: HandlerTarget,
  signal: AbortSignal,
): Promise<boolean> {
  const path = get.path.startsWith("/") ? get.path : `/${get.path}`;
  const url = `${get.scheme.toLowerCase()}://${get.host ?? target.podIP}:${portNumber(get.port, target)}${path}`;
  // The kubelet trusts any certificate of a container too, and keeps no connection to one.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false }, pipelining: 0 });
  try {
    const headers = Object.fromEntries(get.httpHeaders.map(({ name, value }) => [name, value]));
    const response = await request(url, { dispatcher, headers, signal });
    await response.body.dump();
    return response.statusCode >= 200 && response.statusCode < 400;
  } catch {
    // Nobody listens, or nobody answers: that is the answer.
    return false;
  } finally {
    await dispatcher.destroy();
  }
}

async function canConnect(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  const socket = connect({ host, port });
  const connected = new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  const isSuccess = await Promise.race([connected, aborted(signal).then(() => false)]);
  socket.destroy();
  return isSuccess;
}

function portNumber(port: number | string, target: HandlerTarget): number | undefined {
  if (typeof port === "number") return port;
  return target.ports.find(({ name }) => name === port)?.containerPort;
}
