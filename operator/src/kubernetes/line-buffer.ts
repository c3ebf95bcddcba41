/** Cuts a stream of bytes into lines. However long a line and however small its pieces, each byte is looked at once. */
export class LineBuffer {
  #pieces: Uint8Array[] = [];
  #restBytes = 0;

  /** Takes in the next bytes and gives the lines that they complete, without their ends. */
  push(chunk: Uint8Array): readonly string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push(this.rest());
      this.#pieces = [];
      this.#restBytes = 0;
      from = end + 1;
    }
    this.#keep(chunk.subarray(from));
    return lines;
  }

  /** How much has come of a line that has no end yet. */
  get restBytes(): number {
    return this.#restBytes;
  }

  /** What has come of it. */
  rest(): string {
    return Buffer.concat(this.#pieces, this.#restBytes).toString("utf8");
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#restBytes += piece.length;
  }
}

const newline = 0x0a;
