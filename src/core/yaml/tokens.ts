/**
 * Text → tokens, for YAML 1.1 as the Python world reads it (PyYAML's safe loader).
 *
 * Why not the `yaml` package: it accepts and refuses other texts (tabs, `#` right behind a quote, repeated anchors,
 * line breaks other than LF, `%YAML 1.2`), and its time is not linear (1 MiB of `!!str` takes it two minutes, of
 * comments over two seconds). A file must mean here what it has meant to its authors, and no file may stop us.
 *
 * The rules that make YAML hard are all here: a plain `key` turns out to be a key only when its `:` comes, at most
 * 1,024 characters later and on the same line, so a "possible key" is remembered for each flow level.
 */

import { type Place, YamlRefusal, yamlLimits } from "./problem.ts";

export type Token = Place & (PlainToken | NamedToken | TagToken | DirectiveToken | ScalarToken);

interface PlainToken {
  readonly type:
    | "stream end"
    | "document start"
    | "document end"
    | "block sequence start"
    | "block mapping start"
    | "block end"
    | "["
    | "]"
    | "{"
    | "}"
    | ","
    | "-"
    | "?"
    | ":";
}

interface NamedToken {
  readonly type: "alias" | "anchor";
  readonly name: string;
}

interface TagToken {
  readonly type: "tag";
  /** `!`, `!!`, `!name!`; undefined for a verbatim tag. */
  readonly handle: string | undefined;
  readonly suffix: string;
}

interface DirectiveToken {
  readonly type: "directive";
  readonly directive:
    | { readonly name: "YAML"; readonly major: number }
    | { readonly name: "TAG"; readonly handle: string; readonly prefix: string }
    | { readonly name: "other" };
}

interface ScalarToken {
  readonly type: "scalar";
  readonly value: string;
  /** Without quotes and not a block: may be a number, a date and so on. */
  readonly plain: boolean;
}

/** Hands out the tokens of a text one by one. Throws YamlRefusal. Linear in the text's length. */
export class Tokens {
  readonly #text: string;
  #index = 0;
  #line = 1;
  #column = 0;

  #queue: Token[] = [];
  /** Position of the next token in the queue, and the number of tokens dropped from its front. */
  #head = 0;
  #dropped = 0;
  #ended = false;

  #flowLevel = 0;
  #indent = -1;
  readonly #indents: number[] = [];
  #keyAllowed = true;
  readonly #possibleKeys = new Map<number, PossibleKey>();

  constructor(text: string) {
    this.#text = `${text}\0`;
    if (this.#text.startsWith("\uFEFF")) this.#index = 1;
  }

  /** The next token; it stays. After the stream's end it stays there. */
  peek(): Token {
    this.#fill();
    return this.#queue[this.#head] ?? { type: "stream end", ...this.#place() };
  }

  next(): Token {
    const token = this.peek();
    if (token.type !== "stream end") this.#head += 1;
    if (this.#head > 4096) {
      this.#queue = this.#queue.slice(this.#head);
      this.#dropped += this.#head;
      this.#head = 0;
    }
    return token;
  }

  /** A token can be handed out once nothing that follows can turn it into a key. */
  #fill(): void {
    while (!this.#ended) {
      if (this.#head < this.#queue.length) {
        this.#forgetStaleKeys();
        if (this.#firstPossibleKey() !== this.#dropped + this.#head) return;
      }
      this.#fetch();
    }
  }

  #fetch(): void {
    this.#skipToToken();
    this.#forgetStaleKeys();
    this.#unwindIndent(this.#column);
    const ch = this.#at(0);
    if (ch === "\0") this.#fetchEnd();
    else if (ch === "%" && this.#column === 0) this.#fetchDirective();
    else if (this.#column === 0 && this.#isDocumentMark("---")) this.#fetchDocumentMark("document start");
    else if (this.#column === 0 && this.#isDocumentMark("...")) this.#fetchDocumentMark("document end");
    else if (ch === "[" || ch === "{") this.#fetchFlowStart(ch);
    else if (ch === "]" || ch === "}") this.#fetchFlowEnd(ch);
    else if (ch === ",") this.#fetchFlowEntry();
    else if (ch === "-" && isBlank(this.#at(1))) this.#fetchBlockEntry();
    else if (ch === "?" && (this.#flowLevel !== 0 || isBlank(this.#at(1)))) this.#fetchKey();
    else if (ch === ":" && (this.#flowLevel !== 0 || isBlank(this.#at(1)))) this.#fetchValue();
    else if (ch === "*") this.#fetchKeyLike(() => this.#scanName("alias"));
    else if (ch === "&") this.#fetchKeyLike(() => this.#scanName("anchor"));
    else if (ch === "!") this.#fetchKeyLike(() => this.#scanTag());
    else if ((ch === "|" || ch === ">") && this.#flowLevel === 0) this.#fetchBlockScalar(ch);
    else if (ch === "'" || ch === '"') this.#fetchKeyLike(() => this.#scanQuoted(ch));
    else if (this.#startsPlain(ch)) this.#fetchKeyLike(() => this.#scanPlain());
    else
      throw this.#refuse(
        ch === "\t"
          ? "a tab cannot be used to indent or before a value; use spaces"
          : `${shown(ch)} cannot start a value; put it in quotes`,
      );
  }

  // --- keys that are known only when their colon comes

  #firstPossibleKey(): number | undefined {
    let first: number | undefined;
    for (const key of this.#possibleKeys.values()) {
      if (first === undefined || key.token < first) first = key.token;
    }
    return first;
  }

  #forgetStaleKeys(): void {
    for (const [level, key] of this.#possibleKeys) {
      if (key.line === this.#line && this.#index - key.index <= 1024) continue;
      if (key.required) throw refuseKey(key);
      this.#possibleKeys.delete(level);
    }
  }

  #rememberKey(): void {
    if (!this.#keyAllowed) return;
    this.#forgetKey();
    this.#possibleKeys.set(this.#flowLevel, {
      token: this.#dropped + this.#queue.length,
      required: this.#flowLevel === 0 && this.#indent === this.#column,
      index: this.#index,
      ...this.#place(),
    });
  }

  #forgetKey(): void {
    const key = this.#possibleKeys.get(this.#flowLevel);
    if (key?.required) throw refuseKey(key);
    this.#possibleKeys.delete(this.#flowLevel);
  }

  // --- indentation

  #unwindIndent(column: number): void {
    if (this.#flowLevel !== 0) return;
    while (this.#indent > column) {
      this.#indent = this.#indents.pop() ?? -1;
      this.#queue.push({ type: "block end", ...this.#place() });
    }
  }

  #addIndent(column: number): boolean {
    if (this.#indent >= column) return false;
    this.#indents.push(this.#indent);
    if (this.#indents.length > yamlLimits.nesting + 1) throw this.#refuseNesting();
    this.#indent = column;
    return true;
  }

  // --- one method a token

  #fetchEnd(): void {
    this.#unwindIndent(-1);
    this.#forgetKey();
    this.#possibleKeys.clear();
    this.#queue.push({ type: "stream end", ...this.#place() });
    this.#ended = true;
  }

  #fetchDirective(): void {
    this.#unwindIndent(-1);
    this.#forgetKey();
    this.#keyAllowed = false;
    this.#queue.push(this.#scanDirective());
  }

  #fetchDocumentMark(type: "document start" | "document end"): void {
    this.#unwindIndent(-1);
    this.#forgetKey();
    this.#keyAllowed = false;
    this.#take(type, 3);
  }

  #fetchFlowStart(type: "[" | "{"): void {
    this.#rememberKey();
    this.#flowLevel += 1;
    if (this.#flowLevel > yamlLimits.nesting) throw this.#refuseNesting();
    this.#keyAllowed = true;
    this.#take(type, 1);
  }

  #fetchFlowEnd(type: "]" | "}"): void {
    this.#forgetKey();
    this.#flowLevel -= 1;
    this.#keyAllowed = false;
    this.#take(type, 1);
  }

  #fetchFlowEntry(): void {
    this.#keyAllowed = true;
    this.#forgetKey();
    this.#take(",", 1);
  }

  #fetchBlockEntry(): void {
    if (this.#flowLevel === 0) {
      if (!this.#keyAllowed) throw this.#refuse("a list item cannot start here");
      if (this.#addIndent(this.#column)) this.#queue.push({ type: "block sequence start", ...this.#place() });
    }
    this.#keyAllowed = true;
    this.#forgetKey();
    this.#take("-", 1);
  }

  #fetchKey(): void {
    if (this.#flowLevel === 0) {
      if (!this.#keyAllowed) throw this.#refuse("a key cannot start here");
      if (this.#addIndent(this.#column)) this.#queue.push({ type: "block mapping start", ...this.#place() });
    }
    this.#keyAllowed = this.#flowLevel === 0;
    this.#forgetKey();
    this.#take("?", 1);
  }

  #fetchValue(): void {
    const key = this.#possibleKeys.get(this.#flowLevel);
    if (key !== undefined) {
      this.#possibleKeys.delete(this.#flowLevel);
      const place = { line: key.line, column: key.column };
      const added: Token[] = [{ type: "?", ...place }];
      if (this.#flowLevel === 0 && this.#addIndent(key.column - 1))
        added.unshift({ type: "block mapping start", ...place });
      this.#queue.splice(key.token - this.#dropped, 0, ...added);
      this.#keyAllowed = false;
    } else {
      if (this.#flowLevel === 0) {
        if (!this.#keyAllowed)
          throw this.#refuse("a value with its own colon cannot stand here; put it in quotes");
        if (this.#addIndent(this.#column))
          this.#queue.push({ type: "block mapping start", ...this.#place() });
      }
      this.#keyAllowed = this.#flowLevel === 0;
      this.#forgetKey();
    }
    this.#take(":", 1);
  }

  /** Tokens that may begin a key. */
  #fetchKeyLike(scan: () => Token): void {
    this.#rememberKey();
    this.#keyAllowed = false;
    this.#queue.push(scan());
  }

  #fetchBlockScalar(style: "|" | ">"): void {
    this.#keyAllowed = true;
    this.#forgetKey();
    this.#queue.push(this.#scanBlockScalar(style));
  }

  #take(type: PlainToken["type"], length: number): void {
    this.#queue.push({ type, ...this.#place() });
    this.#forward(length);
  }

  // --- scanners

  #skipToToken(): void {
    for (;;) {
      while (this.#at(0) === " ") this.#forward(1);
      if (this.#at(0) === "#") this.#skipLine();
      if (this.#scanBreak() === "") return;
      if (this.#flowLevel === 0) this.#keyAllowed = true;
    }
  }

  #scanDirective(): Token {
    const place = this.#place();
    this.#forward(1);
    const name = this.#takeWhile(isWord);
    if (name === "") throw this.#refuse("a directive needs a name behind its %");
    if (!isBreakOrSpace(this.#at(0))) throw this.#refuse("a directive's name has letters and digits only");
    const directive = this.#scanDirectiveValue(name);
    this.#skipSpaces();
    if (this.#at(0) === "#") this.#skipLine();
    if (!isBreak(this.#at(0))) throw this.#refuse("nothing may follow a directive on its line");
    this.#scanBreak();
    return { type: "directive", directive, ...place };
  }

  #scanDirectiveValue(name: string): DirectiveToken["directive"] {
    if (name === "YAML") {
      this.#skipSpaces();
      const major = this.#takeWhile(isDigit);
      if (this.#at(0) !== "." || major === "") throw this.#refuse("%YAML needs a version such as 1.1");
      this.#forward(1);
      if (this.#takeWhile(isDigit) === "" || !isBreakOrSpace(this.#at(0))) {
        throw this.#refuse("%YAML needs a version such as 1.1");
      }
      return { name: "YAML", major: Number(major) };
    }
    if (name === "TAG") {
      this.#skipSpaces();
      const handle = this.#scanTagHandle();
      if (this.#at(0) !== " ") throw this.#refuse("%TAG needs a handle, a space and a prefix");
      this.#skipSpaces();
      const prefix = this.#scanTagUri();
      if (!isBreakOrSpace(this.#at(0))) throw this.#refuse("a tag's prefix ends with a space or the line");
      return { name: "TAG", handle, prefix };
    }
    this.#skipLine();
    return { name: "other" };
  }

  #scanName(type: "alias" | "anchor"): Token {
    const place = this.#place();
    this.#forward(1);
    const name = this.#takeWhile(isWord);
    if (name === "") throw this.#refuse(`an ${type} needs a name of letters and digits`);
    if (!isBlank(this.#at(0)) && !"?:,]}%@`".includes(this.#at(0))) {
      throw this.#refuse(`an ${type}'s name has letters and digits only`);
    }
    return { type, name, ...place };
  }

  #scanTag(): Token {
    const place = this.#place();
    const next = this.#at(1);
    let handle: string | undefined;
    let suffix: string;
    if (next === "<") {
      this.#forward(2);
      suffix = this.#scanTagUri();
      if (this.#at(0) !== ">") throw this.#refuse("a tag that starts with !< ends with >");
      this.#forward(1);
    } else if (isBlank(next)) {
      suffix = "!";
      this.#forward(1);
    } else {
      handle = this.#hasTagHandle() ? this.#scanTagHandle() : this.#takeLength(1);
      suffix = this.#scanTagUri();
    }
    if (!isBreakOrSpace(this.#at(0))) throw this.#refuse("a tag ends with a space or the line");
    return { type: "tag", handle, suffix, ...place };
  }

  /** Whether a second `!` follows before the tag ends. */
  #hasTagHandle(): boolean {
    for (let length = 1; ; length += 1) {
      const ch = this.#at(length);
      if (ch === "!") return true;
      if (isBreakOrSpace(ch)) return false;
    }
  }

  #scanTagHandle(): string {
    if (this.#at(0) !== "!") throw this.#refuse("a tag starts with !");
    let length = 1;
    if (this.#at(1) !== " ") {
      while (isWord(this.#at(length))) length += 1;
      if (this.#at(length) !== "!") {
        this.#forward(length);
        throw this.#refuse("a tag's handle ends with !");
      }
      length += 1;
    }
    return this.#takeLength(length);
  }

  #scanTagUri(): string {
    let uri = "";
    for (;;) {
      uri += this.#takeWhile(isUriCharacter);
      if (this.#at(0) !== "%") break;
      uri += this.#scanUriEscapes();
    }
    if (uri === "") throw this.#refuse("a tag needs a name");
    return uri;
  }

  #scanUriEscapes(): string {
    const bytes: number[] = [];
    while (this.#at(0) === "%") {
      this.#forward(1);
      if (!isHex(this.#at(0)) || !isHex(this.#at(1))) throw this.#refuse("% in a tag needs two hex digits");
      bytes.push(Number.parseInt(this.#takeLength(2), 16));
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    } catch {
      throw this.#refuse("the % escapes of this tag are not UTF-8");
    }
  }

  #scanBlockScalar(style: "|" | ">"): Token {
    const place = this.#place();
    this.#forward(1);
    const { chomping, increment } = this.#scanBlockIndicators();
    this.#skipSpaces();
    if (this.#at(0) === "#") this.#skipLine();
    if (!isBreak(this.#at(0))) throw this.#refuse(`only a comment may follow ${style} on its line`);
    this.#scanBreak();

    const smallest = Math.max(this.#indent + 1, 1);
    let breaks: string;
    let indent: number;
    if (increment === undefined) {
      const found = this.#scanBlockIndentation();
      breaks = found.breaks;
      indent = Math.max(smallest, found.indent);
    } else {
      indent = smallest + increment - 1;
      breaks = this.#scanBlockBreaks(indent);
    }

    const parts: string[] = [];
    let lineBreak = "";
    while (this.#column === indent && this.#at(0) !== "\0") {
      parts.push(breaks);
      const indented = this.#at(0) === " " || this.#at(0) === "\t";
      parts.push(this.#takeWhile(isNotBreak));
      lineBreak = this.#scanBreak();
      breaks = this.#scanBlockBreaks(indent);
      if (this.#column !== indent || this.#at(0) === "\0") break;
      const nextIndented = this.#at(0) === " " || this.#at(0) === "\t";
      if (style === ">" && lineBreak === "\n" && !indented && !nextIndented) {
        if (breaks === "") parts.push(" ");
      } else {
        parts.push(lineBreak);
      }
    }
    if (chomping !== "-") parts.push(lineBreak);
    if (chomping === "+") parts.push(breaks);
    return { type: "scalar", value: parts.join(""), plain: false, ...place };
  }

  #scanBlockIndicators(): { chomping: string | undefined; increment: number | undefined } {
    let chomping: string | undefined;
    let increment: number | undefined;
    const takeChomping = () => {
      if (this.#at(0) === "+" || this.#at(0) === "-") chomping = this.#takeLength(1);
    };
    takeChomping();
    if (isDigit(this.#at(0))) {
      increment = Number(this.#takeLength(1));
      if (increment === 0) throw this.#refuse("a block's indentation is 1 to 9");
      if (chomping === undefined) takeChomping();
    }
    if (!isBreakOrSpace(this.#at(0))) throw this.#refuse("only +, - or a digit may follow | or >");
    return { chomping, increment };
  }

  #scanBlockIndentation(): { breaks: string; indent: number } {
    let breaks = "";
    let indent = 0;
    while (this.#at(0) === " " || isRealBreak(this.#at(0))) {
      if (this.#at(0) === " ") {
        this.#forward(1);
        indent = Math.max(indent, this.#column);
      } else {
        breaks += this.#scanBreak();
      }
    }
    return { breaks, indent };
  }

  #scanBlockBreaks(indent: number): string {
    let breaks = "";
    const skipIndent = () => {
      while (this.#column < indent && this.#at(0) === " ") this.#forward(1);
    };
    skipIndent();
    while (isRealBreak(this.#at(0))) {
      breaks += this.#scanBreak();
      skipIndent();
    }
    return breaks;
  }

  #scanQuoted(quote: "'" | '"'): Token {
    const place = this.#place();
    const parts: string[] = [];
    this.#forward(1);
    this.#scanQuotedText(quote, parts);
    while (this.#at(0) !== quote) {
      this.#scanQuotedSpaces(parts, place);
      this.#scanQuotedText(quote, parts);
    }
    this.#forward(1);
    return { type: "scalar", value: parts.join(""), plain: false, ...place };
  }

  #scanQuotedText(quote: "'" | '"', parts: string[]): void {
    for (;;) {
      parts.push(this.#takeWhile(isQuotedText));
      const ch = this.#at(0);
      if (quote === "'" && ch === "'" && this.#at(1) === "'") {
        parts.push("'");
        this.#forward(2);
      } else if ((quote === '"' && ch === "'") || (quote === "'" && (ch === '"' || ch === "\\"))) {
        parts.push(this.#takeLength(1));
      } else if (quote === '"' && ch === "\\") {
        this.#scanEscape(parts);
      } else {
        return;
      }
    }
  }

  #scanEscape(parts: string[]): void {
    this.#forward(1);
    const ch = this.#at(0);
    const replacement = escapes.get(ch);
    if (replacement !== undefined) {
      parts.push(replacement);
      this.#forward(1);
      return;
    }
    const length = escapeLengths.get(ch);
    if (length !== undefined) {
      this.#forward(1);
      for (let digit = 0; digit < length; digit += 1) {
        if (!isHex(this.#at(digit))) throw this.#refuse(`\\${ch} needs ${length} hex digits`);
      }
      const code = Number.parseInt(this.#takeLength(length), 16);
      if (code > 0x10ffff) throw this.#refuse("there is no such character");
      parts.push(String.fromCodePoint(code));
      return;
    }
    if (!isRealBreak(ch)) throw this.#refuse(`\\${shown(ch)} is not an escape; write \\\\ for a backslash`);
    this.#scanBreak();
    parts.push(this.#scanQuotedBreaks());
  }

  #scanQuotedSpaces(parts: string[], start: Place): void {
    const spaces = this.#takeWhile(isSpaceOrTab);
    const ch = this.#at(0);
    if (ch === "\0") throw new YamlRefusal("yaml-syntax", "this quote is never closed", start);
    if (!isRealBreak(ch)) {
      parts.push(spaces);
      return;
    }
    const lineBreak = this.#scanBreak();
    const breaks = this.#scanQuotedBreaks();
    if (lineBreak !== "\n") parts.push(lineBreak);
    else if (breaks === "") parts.push(" ");
    parts.push(breaks);
  }

  #scanQuotedBreaks(): string {
    let breaks = "";
    for (;;) {
      if (this.#isDocumentMark("---") || this.#isDocumentMark("..."))
        throw this.#refuse("a quoted text is still open where the document ends");
      while (isSpaceOrTab(this.#at(0))) this.#forward(1);
      if (!isRealBreak(this.#at(0))) return breaks;
      breaks += this.#scanBreak();
    }
  }

  #startsPlain(ch: string): boolean {
    if (!isBlank(ch) && !"-?:,[]{}#&*!|>'\"%@`".includes(ch)) return true;
    if (isBlank(this.#at(1))) return false;
    return ch === "-" || (this.#flowLevel === 0 && (ch === "?" || ch === ":"));
  }

  #scanPlain(): Token {
    const place = this.#place();
    const indent = this.#indent + 1;
    const parts: string[] = [];
    let spaces = "";
    while (this.#at(0) !== "#") {
      let length = 0;
      while (!this.#endsPlain(length)) length += 1;
      if (length === 0) break;
      this.#keyAllowed = false;
      parts.push(spaces, this.#takeLength(length));
      spaces = this.#scanPlainSpaces();
      if (spaces === "" || (this.#flowLevel === 0 && this.#column < indent)) break;
    }
    return { type: "scalar", value: parts.join(""), plain: true, ...place };
  }

  #endsPlain(offset: number): boolean {
    const ch = this.#at(offset);
    if (isBlank(ch)) return true;
    const inFlow = this.#flowLevel !== 0;
    if (ch === ":") {
      const next = this.#at(offset + 1);
      return isBlank(next) || (inFlow && ",[]{}".includes(next));
    }
    return inFlow && ",?[]{}".includes(ch);
  }

  /** Empty when the scalar ends here. */
  #scanPlainSpaces(): string {
    const spaces = this.#takeWhile((ch) => ch === " ");
    if (!isRealBreak(this.#at(0))) return spaces;
    const lineBreak = this.#scanBreak();
    this.#keyAllowed = true;
    if (this.#isDocumentMark("---") || this.#isDocumentMark("...")) return "";
    let breaks = "";
    while (this.#at(0) === " " || isRealBreak(this.#at(0))) {
      if (this.#at(0) === " ") {
        this.#forward(1);
        continue;
      }
      breaks += this.#scanBreak();
      if (this.#isDocumentMark("---") || this.#isDocumentMark("...")) return "";
    }
    if (lineBreak !== "\n") return lineBreak + breaks;
    return breaks === "" ? " " : breaks;
  }

  // --- characters

  /** The character so far ahead; NUL at the end of the text and behind it. */
  #at(offset: number): string {
    return this.#text[this.#index + offset] ?? "\0";
  }

  #isDocumentMark(mark: "---" | "..."): boolean {
    return this.#text.startsWith(mark, this.#index) && isBlank(this.#at(3));
  }

  /** A line break as the value gets it: `\n`, or the Unicode line and paragraph separators as they are; else empty. */
  #scanBreak(): string {
    const ch = this.#at(0);
    if (ch === "\r" || ch === "\n" || ch === "\x85") {
      this.#forward(ch === "\r" && this.#at(1) === "\n" ? 2 : 1);
      return "\n";
    }
    if (ch === "\u2028" || ch === "\u2029") {
      this.#forward(1);
      return ch;
    }
    return "";
  }

  #skipLine(): void {
    while (isNotBreak(this.#at(0))) this.#forward(1);
  }

  #skipSpaces(): void {
    while (this.#at(0) === " ") this.#forward(1);
  }

  #takeWhile(accepts: (ch: string) => boolean): string {
    let length = 0;
    while (accepts(this.#at(length))) length += 1;
    return this.#takeLength(length);
  }

  #takeLength(length: number): string {
    const taken = this.#text.slice(this.#index, this.#index + length);
    this.#forward(length);
    return taken;
  }

  #forward(length: number): void {
    for (let step = 0; step < length; step += 1) {
      const ch = this.#text[this.#index];
      this.#index += 1;
      if (ch === "\n" || ch === "\x85" || ch === "\u2028" || ch === "\u2029") this.#newLine();
      else if (ch === "\r" && this.#text[this.#index] !== "\n") this.#newLine();
      else if (ch !== "\uFEFF") this.#column += 1;
    }
  }

  #newLine(): void {
    this.#line += 1;
    this.#column = 0;
  }

  #place(): Place {
    return { line: this.#line, column: this.#column + 1 };
  }

  #refuse(message: string): YamlRefusal {
    return new YamlRefusal("yaml-syntax", message, this.#place());
  }

  #refuseNesting(): YamlRefusal {
    return refuseNesting(this.#place());
  }
}

export function refuseNesting(place: Place): YamlRefusal {
  return new YamlRefusal("yaml-limit", `values are nested more than ${yamlLimits.nesting} deep`, place);
}

interface PossibleKey extends Place {
  /** Number of its first token, counted from the start of the text. */
  readonly token: number;
  /** Nothing else than a key can stand there. */
  readonly required: boolean;
  readonly index: number;
}

function refuseKey(key: PossibleKey): YamlRefusal {
  return new YamlRefusal("yaml-syntax", "a colon and a space must follow this key", key);
}

function shown(ch: string): string {
  return /^[!-~]$/.test(ch) ? ch : JSON.stringify(ch);
}

function isRealBreak(ch: string): boolean {
  return ch === "\n" || ch === "\r" || ch === "\x85" || ch === "\u2028" || ch === "\u2029";
}

/** The end of the text ends a line too. */
function isBreak(ch: string): boolean {
  return ch === "\0" || isRealBreak(ch);
}

function isNotBreak(ch: string): boolean {
  return !isBreak(ch);
}

function isBreakOrSpace(ch: string): boolean {
  return ch === " " || isBreak(ch);
}

function isBlank(ch: string): boolean {
  return ch === " " || ch === "\t" || isBreak(ch);
}

function isSpaceOrTab(ch: string): boolean {
  return ch === " " || ch === "\t";
}

function isQuotedText(ch: string): boolean {
  return !isBlank(ch) && ch !== "'" && ch !== '"' && ch !== "\\";
}

function isDigit(ch: string): boolean {
  return ch >= "0" && ch <= "9";
}

function isHex(ch: string): boolean {
  return isDigit(ch) || (ch >= "a" && ch <= "f") || (ch >= "A" && ch <= "F");
}

function isWord(ch: string): boolean {
  return isDigit(ch) || (ch >= "a" && ch <= "z") || (ch >= "A" && ch <= "Z") || ch === "-" || ch === "_";
}

function isUriCharacter(ch: string): boolean {
  return isWord(ch) || (ch !== "" && ";/?:@&=+$,.!~*'()[]".includes(ch));
}

const escapes = new Map([
  ["0", "\0"],
  ["a", "\x07"],
  ["b", "\b"],
  ["t", "\t"],
  ["\t", "\t"],
  ["n", "\n"],
  ["v", "\v"],
  ["f", "\f"],
  ["r", "\r"],
  ["e", "\x1b"],
  [" ", " "],
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["N", "\x85"],
  ["_", "\xa0"],
  ["L", "\u2028"],
  ["P", "\u2029"],
]);

const escapeLengths = new Map([
  ["x", 2],
  ["u", 4],
  ["U", 8],
]);
