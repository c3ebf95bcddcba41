import { maskedCrc32c } from "./crc32c.ts";

/*
 * A TFRecord:  | length, 8 bytes | sum of length, 4 | data ... | sum of data, 4 |     all little-endian
 */

const headerBytes = 12;
const sumBytes = 4;

/** One record of an event file around its data. */
export function frame(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(headerBytes + data.byteLength + sumBytes);
  record.writeBigUInt64LE(BigInt(data.byteLength), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, headerBytes);
  record.writeUInt32LE(maskedCrc32c(data), headerBytes + data.byteLength);
  return record;
}

/** The whole records at the beginning of a file, with where each ends. Ends at the first that is torn or damaged. */
export function* wholeRecords(file: Buffer): Generator<{ data: Buffer; end: number }> {
  let at = 0;
  while (at + headerBytes + sumBytes <= file.byteLength) {
    if (file.readUInt32LE(at + 8) !== maskedCrc32c(file.subarray(at, at + 8))) return;
    const dataEnd = at + headerBytes + Number(file.readBigUInt64LE(at));
    if (dataEnd + sumBytes > file.byteLength) return;
    const data = file.subarray(at + headerBytes, dataEnd);
    if (file.readUInt32LE(dataEnd) !== maskedCrc32c(data)) return;
    at = dataEnd + sumBytes;
    yield { data, end: at };
  }
}
