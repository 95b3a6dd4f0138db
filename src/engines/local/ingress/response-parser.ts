/** The head of a replica's answer. `headers` are names and values in turn, as they were sent. */
export interface ResponseHead {
  readonly status: number;
  readonly message: string;
  readonly headers: readonly string[];
  /** True when the body comes in chunks, so that trailers may follow it. */
  readonly chunked: boolean;
}

/** Gets the parts of an answer as they arrive. */
export interface ResponseSink {
  /** An interim answer: 100, 102, 103. */
  interim(head: ResponseHead): void;
  head(head: ResponseHead): void;
  /** A part of what was pushed, in the same memory. */
  data(chunk: Buffer): void;
  /** The end of the answer. Trailers are names and values in turn, often none. */
  trailers(trailers: readonly string[]): void;
  /** 101: what follows, from `rest` on, is no longer HTTP. */
  switched(head: ResponseHead, rest: Buffer): void;
}

/** Bytes; Node's client allows 16 KiB, and some services set many cookies. */
const headLimit = 64 * 1024;
const lineLimit = 4 * 1024;

const emptyBuffer: Buffer = Buffer.alloc(0);

type State = "head" | "fixed" | "until-close" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "done";

/**
 * Reads one answer to a request with this method. Written for the ingress because Node's own client costs several times
 * as much per request, and only used for answers: what clients send is read by Node's parser. As strict as that one: no
 * bare line feeds, no folded headers, no framing that could be read in two ways.
 */
export class ResponseParser {
  readonly #method: string;
  readonly #sink: ResponseSink;
  #state: State = "head";
  #begun = false;
  #keepAlive = false;
  #left = 0;
  #held: Buffer = emptyBuffer;
  #trailers: readonly string[] = [];

  constructor(method: string, sink: ResponseSink) {
    this.#method = method;
    this.#sink = sink;
  }

  /** True once a byte of the answer has come. */
  get begun(): boolean {
    return this.#begun;
  }

  /** True when the answer is whole and the connection may carry another request. */
  get reusable(): boolean {
    return this.#state === "done" && this.#keepAlive;
  }

  /** Throws an Error when what came is not HTTP/1.1 as RFC 9112 has it. Keeps nothing of the chunk's memory. */
  push(chunk: Buffer): void {
    this.#begun = true;
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = emptyBuffer;
    while (rest.length > 0) {
      const before = rest;
      rest = this.#step(rest);
      // Not enough for a line yet: what is here waits for more.
      if (rest === before) {
        this.#held = Buffer.from(rest);
        return;
      }
    }
  }

  /** The replica has closed its side: ends a body that only this ends; throws for any other. */
  close(): void {
    if (this.#state === "until-close") this.#finish();
    else if (this.#state !== "done") throw new Error("the connection ended in the middle of the answer");
  }

  /** Consumes what it can; gives back the rest, the same buffer when it can do nothing with it yet. */
  #step(input: Buffer): Buffer {
    switch (this.#state) {
      case "head":
        return this.#readHead(input);
      case "fixed":
      case "chunk":
        return this.#readBytes(input);
      case "until-close":
        this.#sink.data(input);
        return emptyBuffer;
      case "chunk-size":
        return this.#readChunkSize(input);
      case "chunk-end":
        return this.#readChunkEnd(input);
      case "trailers":
        return this.#readTrailers(input);
      case "done":
        // Nobody asked for this: whatever it is, the connection can't be trusted with another request.
        this.#keepAlive = false;
        return emptyBuffer;
    }
  }

  #readHead(input: Buffer): Buffer {
    const end = input.indexOf("\r\n\r\n");
    if (end === -1) {
      if (input.length > headLimit)
        throw new Error(`the head of the answer is longer than ${headLimit} bytes`);
      return input;
    }
    const lines = input.toString("latin1", 0, end).split("\r\n");
    const match = statusLine.exec(lines[0] as string);
    if (match === null) throw new Error("the answer does not begin with an HTTP/1.1 status line");
    const status = Number(match[2]);
    const message = match[3] ?? "";
    const headers = readFields(lines, 1);
    const rest = input.subarray(end + 4);
    if (status === 101) {
      this.#state = "done";
      this.#sink.switched({ status, message, headers, chunked: false }, rest);
      return emptyBuffer;
    }
    if (status < 200) {
      this.#sink.interim({ status, message, headers, chunked: false });
      return rest;
    }
    const framing = framingOf(this.#method, status, headers);
    const chunked = framing.kind === "chunked";
    this.#keepAlive = match[1] === "1" && framing.kind !== "until-close" && !framing.closes;
    this.#left = framing.kind === "fixed" ? framing.length : 0;
    this.#state = chunked ? "chunk-size" : framing.kind === "until-close" ? "until-close" : "fixed";
    this.#sink.head({ status, message, headers, chunked });
    if (this.#state === "fixed" && this.#left === 0) this.#finish();
    return rest;
  }

  #readBytes(input: Buffer): Buffer {
    const left = this.#left;
    if (input.length < left) {
      this.#left -= input.length;
      this.#sink.data(input);
      return emptyBuffer;
    }
    this.#left = 0;
    this.#sink.data(left === input.length ? input : input.subarray(0, left));
    if (this.#state === "fixed") this.#finish();
    else this.#state = "chunk-end";
    return left === input.length ? emptyBuffer : input.subarray(left);
  }

  #readChunkSize(input: Buffer): Buffer {
    const end = lineEnd(input);
    if (end === -1) return input;
    const match = chunkSize.exec(input.toString("latin1", 0, end));
    if (match === null) throw new Error("the answer has a chunk without a proper size");
    this.#left = Number.parseInt(match[1] as string, 16);
    this.#state = this.#left === 0 ? "trailers" : "chunk";
    return input.subarray(end + 2);
  }

  #readChunkEnd(input: Buffer): Buffer {
    if (input.length < 2) return input;
    if (input[0] !== 13 || input[1] !== 10) throw new Error("a chunk of the answer is longer than it says");
    this.#state = "chunk-size";
    return input.subarray(2);
  }

  #readTrailers(input: Buffer): Buffer {
    if (input.length < 2) return input;
    if (input[0] === 13 && input[1] === 10) {
      this.#finish();
      return input.subarray(2);
    }
    const end = input.indexOf("\r\n\r\n");
    if (end === -1) {
      if (input.length > headLimit) throw new Error("the trailers of the answer are too long");
      return input;
    }
    this.#trailers = readFields(input.toString("latin1", 0, end).split("\r\n"), 0);
    this.#finish();
    return input.subarray(end + 4);
  }

  #finish(): void {
    this.#state = "done";
    this.#sink.trailers(this.#trailers);
  }
}

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;
const chunkSize = /^([0-9a-fA-F]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

function readFields(lines: readonly string[], first: number): string[] {
  const fields: string[] = [];
  for (let index = first; index < lines.length; index++) {
    const match = field.exec(lines[index] as string);
    if (match === null) throw new Error("the answer has a header that is none");
    fields.push(match[1] as string, (match[2] as string).trimEnd());
  }
  return fields;
}

type Framing =
  | { readonly kind: "none" | "chunked"; readonly closes: boolean }
  | { readonly kind: "fixed"; readonly length: number; readonly closes: boolean }
  | { readonly kind: "until-close" };

/** How long the body is: RFC 9112, 6.3. */
function framingOf(method: string, status: number, headers: readonly string[]): Framing {
  let length: number | undefined;
  let encoding: string | undefined;
  let closes = false;
  for (let index = 0; index < headers.length; index += 2) {
    const value = headers[index + 1] as string;
    switch ((headers[index] as string).toLowerCase()) {
      case "content-length": {
        const said = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
        if (Number.isNaN(said) || length !== undefined) {
          throw new Error("the answer has a Content-Length that is none");
        }
        length = said;
        break;
      }
      case "transfer-encoding":
        encoding = encoding === undefined ? value.toLowerCase() : `${encoding}, ${value.toLowerCase()}`;
        break;
      case "connection":
        closes ||= /(^|,)[\t ]*close[\t ]*(,|$)/i.test(value);
        break;
    }
  }
  if (encoding !== undefined && (encoding !== "chunked" || length !== undefined)) {
    throw new Error("the answer has a Transfer-Encoding that can't be read in one way only");
  }
  if (method === "HEAD" || status === 204 || status === 304) return { kind: "none", closes };
  if (encoding !== undefined) return { kind: "chunked", closes };
  return length === undefined ? { kind: "until-close" } : { kind: "fixed", length, closes };
}

function lineEnd(input: Buffer): number {
  const end = input.indexOf("\r\n");
  if (end > lineLimit || (end === -1 && input.length > lineLimit)) {
    throw new Error("the answer has a chunk without a proper size");
  }
  return end;
}
