import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "../src/tensorboard/crc32c.ts";

/** An event as a viewer sees it, read by rules of its own: the writer's code has no part in it but the sum. */
export type SeenEvent = {
  wallTime: number;
  step: number;
  version?: string;
  status?: number;
  scalars: Record<string, number>;
};

/** All events under a directory, file by file in the order in which a viewer reads them. */
export function readEvents(directory: string): SeenEvent[] {
  const names = readdirSync(directory).filter((name) => name.includes("tfevents"));
  return names.toSorted().flatMap((name) => readEventFile(readFileSync(join(directory, name))));
}

/** How often each `step tag` appears. */
export function countPoints(events: readonly SeenEvent[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { step, scalars } of events) {
    for (const tag of Object.keys(scalars)) counts.set(`${step} ${tag}`, (counts.get(`${step} ${tag}`) ?? 0) + 1);
  }
  return counts;
}

/** The events of one file; throws at the first byte that is not as it must be. */
export function readEventFile(file: Buffer): SeenEvent[] {
  const events: SeenEvent[] = [];
  for (let at = 0; at < file.byteLength; ) {
    const length = Number(file.readBigUInt64LE(at));
    checkSum(file.subarray(at, at + 8), file.readUInt32LE(at + 8));
    const data = file.subarray(at + 12, at + 12 + length);
    checkSum(data, file.readUInt32LE(at + 12 + length));
    events.push(parseEvent(data));
    at += 12 + length + 4;
  }
  return events;
}

function checkSum(bytes: Buffer, masked: number): void {
  const rotated = (masked - 0xa282ead8) >>> 0;
  const sum = ((rotated >>> 17) | (rotated << 15)) >>> 0;
  if (sum !== crc32c(bytes)) throw new Error(`The sum over ${bytes.toString("hex")} is wrong.`);
}

function parseEvent(data: Buffer): SeenEvent {
  const event: SeenEvent = { wallTime: 0, step: 0, scalars: {} };
  for (const { number, value } of fields(data)) {
    if (number === 1) event.wallTime = bytes(value).readDoubleLE(0);
    else if (number === 2) event.step = Number(value);
    else if (number === 3) event.version = bytes(value).toString();
    else if (number === 5) for (const scalar of fields(bytes(value))) addScalar(event, bytes(scalar.value));
    else if (number === 7) for (const field of fields(bytes(value))) event.status = Number(field.value);
    else throw new Error(`An event has no field ${number}.`);
  }
  return event;
}

function addScalar(event: SeenEvent, data: Buffer): void {
  const [tag, value] = [...fields(data)];
  if (tag?.number !== 1 || value?.number !== 2) throw new Error(`${data.toString("hex")} is no scalar.`);
  event.scalars[bytes(tag.value).toString()] = bytes(value.value).readFloatLE(0);
}

function bytes(value: bigint | Buffer): Buffer {
  if (typeof value === "bigint") throw new Error(`${value} is a number where bytes must be.`);
  return value;
}

function* fields(data: Buffer): Generator<{ number: number; value: bigint | Buffer }> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data.readUInt8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.byteLength) {
    const key = Number(varint());
    const number = key >> 3;
    const type = key & 7;
    if (type === 0) {
      yield { number, value: varint() };
      continue;
    }
    const length = type === 1 ? 8 : type === 5 ? 4 : Number(varint());
    if (at + length > data.byteLength) throw new Error(`Field ${number} goes beyond the end.`);
    yield { number, value: data.subarray(at, at + length) };
    at += length;
  }
}
