/** Text that is not the strict subset of JSON that checkpoints use; `message` names the rule and the offset. */
export class StrictJsonError extends Error {
  override readonly name = "StrictJsonError";
}

const maxDepth = 32;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const spacePattern = /[ \t\n\r]*/y;

/**
 * Parses JSON as `JSON.parse` does, and refuses what hides from it: two members of one name in an object, a
 * member named `__proto__`, lone surrogates, and nesting deeper than 32.
 */
export function parseStrictJson(text: string): unknown {
  const parser = new Parser(text);
  return parser.document();
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at !== this.#text.length) this.#refuse("nothing may follow the value");
    return value;
  }

  #value(depth: number): unknown {
    if (depth > maxDepth) this.#refuse(`values may nest ${maxDepth} deep`);
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#array(depth);
    if (first === '"') return this.#string();
    for (const [word, value] of literals) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#number();
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#members("}", () => {
      this.#skipSpace();
      const name = this.#string();
      if (name === "__proto__") this.#refuse("no member may be named __proto__");
      if (Object.hasOwn(object, name)) this.#refuse(`a member may appear once: ${JSON.stringify(name).slice(0, 80)}`);
      this.#skipSpace();
      this.#expect(":");
      object[name] = this.#value(depth + 1);
    });
    return object;
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    this.#members("]", () => array.push(this.#value(depth + 1)));
    return array;
  }

  #members(close: string, member: () => void): void {
    this.#at += 1;
    this.#skipSpace();
    if (this.#text[this.#at] === close) {
      this.#at += 1;
      return;
    }
    for (;;) {
      member();
      this.#skipSpace();
      if (this.#text[this.#at] === close) break;
      this.#expect(",");
    }
    this.#at += 1;
  }

  #string(): string {
    const start = this.#at;
    if (this.#text[start] !== '"') this.#refuse("a string must be quoted");
    let end = this.#text.indexOf('"', start + 1);
    while (end !== -1 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1);
    if (end === -1) this.#refuse("a string must be closed");
    const value = this.#unquote(this.#text.slice(start, end + 1));
    if (!value.isWellFormed()) this.#refuse("a string must be well-formed Unicode");
    this.#at = end + 1;
    return value;
  }

  #isEscaped(quote: number): boolean {
    let before = quote - 1;
    while (this.#text[before] === "\\") before -= 1;
    return (quote - before) % 2 === 0;
  }

  #unquote(token: string): string {
    try {
      return String(JSON.parse(token));
    } catch {
      return this.#refuse("a string may hold only what JSON allows there");
    }
  }

  #number(): number {
    const token = this.#match(numberPattern);
    if (token === undefined) this.#refuse("a value is expected");
    const value = Number(token);
    if (!Number.isFinite(value)) this.#refuse("a number must be finite");
    return value;
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) this.#refuse(`${character} is expected`);
    this.#at += 1;
  }

  #skipSpace(): void {
    this.#match(spacePattern);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #refuse(rule: string): never {
    throw new StrictJsonError(`Cannot read JSON because ${rule}: seen at offset ${this.#at}`);
  }
}

const literals: readonly (readonly [string, unknown])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
