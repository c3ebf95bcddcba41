import type { MetricValues } from "../metric-values.ts";

/*
 * TensorBoard's protocol buffer messages, as far as scalars need them. A field is its number and wire type in one byte
 * (number * 8 + type; type 0 is a varint, 1 eight bytes, 2 a length and bytes, 5 four bytes), then its value:
 *
 *   Event       1 wall_time double | 2 step int64 | 3 file_version string | 5 summary Summary | 7 session_log SessionLog
 *   Summary     1 value Value, repeated        Value  1 tag string | 2 simple_value float        SessionLog  1 status enum
 */

/** When and at which step something happened; `wallTime` is in seconds since 1970. */
export type EventTime = Readonly<{ wallTime: number; step: number }>;

/** What every event file begins with. */
export function versionEvent(time: EventTime): Uint8Array {
  return Buffer.concat([eventTime(time), bytesField(3, Buffer.from("brain.Event:2"))]);
}

/** Says that a process begins at this step: a viewer forgets what it has seen of this step and later ones. */
export function startEvent(time: EventTime): Uint8Array {
  const statusStart = Buffer.from([(1 << 3) | 0, 1]);
  return Buffer.concat([eventTime(time), bytesField(7, statusStart)]);
}

/** Measurements of one step. */
export function scalarsEvent(time: EventTime, values: MetricValues): Uint8Array {
  const summary = Object.entries(values).map(([tag, value]) => {
    const simpleValue = Buffer.alloc(5);
    simpleValue.writeUInt8((2 << 3) | 5, 0);
    simpleValue.writeFloatLE(value, 1);
    return bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), simpleValue]));
  });
  return Buffer.concat([eventTime(time), bytesField(5, Buffer.concat(summary))]);
}

/** The step of an event that this file has written. */
export function stepOf(event: Uint8Array): number {
  let step = 0;
  let factor = 1;
  for (const byte of event.subarray(wallTimeBytes + 1)) {
    step += (byte & 0x7f) * factor;
    factor *= 128;
    if (byte < 128) break;
  }
  return step;
}

const wallTimeBytes = 9;

function eventTime({ wallTime, step }: EventTime): Buffer {
  const time = Buffer.alloc(wallTimeBytes);
  time.writeUInt8((1 << 3) | 1, 0);
  time.writeDoubleLE(wallTime, 1);
  return Buffer.concat([time, Buffer.from([(2 << 3) | 0, ...varint(step)])]);
}

function bytesField(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.byteLength)]), bytes]);
}

/** Seven bits a byte, lowest first. By division: a step may be beyond what JavaScript's bit operators hold. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}
