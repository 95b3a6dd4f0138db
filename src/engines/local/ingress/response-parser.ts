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
  data(chunk: Buffer): void;
  /** Trailers are names and values in turn. */
  end(trailers: readonly string[]): void;
  /** 101: what follows, from `rest` on, is no longer HTTP. */
  switched(head: ResponseHead, rest: Buffer): void;
}

export interface ResponseParser {
  /** True once a byte of the answer has come. */
  begun(): boolean;
  /** True when the answer is whole and the connection may carry another request. */
  reusable(): boolean;
  /** Throws an Error when what came is not HTTP/1.1 as RFC 9112 has it. */
  push(chunk: Buffer): void;
  /** The replica has closed its side: ends a body that only this ends; throws for any other. */
  close(): void;
}

/** Bytes; Node's client allows 16 KiB, and some services set many cookies. */
const headLimit = 64 * 1024;
const lineLimit = 4 * 1024;

type State = "head" | "fixed" | "until-close" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "done";

/**
 * Reads one answer to a request with this method. Written for the ingress because Node's own client costs several times
 * as much per request, and only used for answers: what clients send is read by Node's parser. As strict as that one: no
 * bare line feeds, no folded headers, no framing that could be read in two ways.
 */
export function createResponseParser(method: string, sink: ResponseSink): ResponseParser {
  let state: State = "head";
  let begun = false;
  let keepAlive = false;
  let left = 0;
  let held: Buffer = Buffer.alloc(0);
  let trailers: readonly string[] = [];

  return {
    begun: () => begun,
    reusable: () => state === "done" && keepAlive,
    push(chunk) {
      begun = true;
      let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      held = emptyBuffer;
      while (rest.length > 0) {
        const before = rest;
        rest = step(rest);
        // Not enough for a line yet: what is here waits for more.
        if (rest === before) {
          held = rest;
          return;
        }
      }
    },
    close() {
      if (state === "until-close") finish();
      else if (state !== "done") throw new Error("the connection ended in the middle of the answer");
    },
  };

  /** Consumes what it can; gives back the rest, the same buffer when it can do nothing with it yet. */
  function step(input: Buffer): Buffer {
    switch (state) {
      case "head":
        return readHead(input);
      case "fixed":
        return readBytes(input, finish);
      case "until-close":
        sink.data(input);
        return emptyBuffer;
      case "chunk-size":
        return readChunkSize(input);
      case "chunk":
        return readBytes(input, () => {
          state = "chunk-end";
        });
      case "chunk-end":
        return readChunkEnd(input);
      case "trailers":
        return readTrailers(input);
      case "done":
        // Nobody asked for this: whatever it is, the connection can't be trusted with another request.
        keepAlive = false;
        return emptyBuffer;
    }
  }

  function readHead(input: Buffer): Buffer {
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
    const headers = readFields(lines, 1);
    const rest = input.subarray(end + 4);
    if (status === 101) {
      state = "done";
      keepAlive = false;
      sink.switched({ status, message: match[3] ?? "", headers, chunked: false }, rest);
      return emptyBuffer;
    }
    if (status < 200) {
      sink.interim({ status, message: match[3] ?? "", headers, chunked: false });
      return rest;
    }
    const framing = framingOf(method, status, headers);
    keepAlive = match[1] === "1" && framing.kind !== "until-close" && !framing.closes;
    state = framing.kind === "chunked" ? "chunk-size" : framing.kind === "none" ? "fixed" : framing.kind;
    left = framing.kind === "fixed" ? framing.length : 0;
    sink.head({ status, message: match[3] ?? "", headers, chunked: framing.kind === "chunked" });
    if (state === "fixed" && left === 0) finish();
    return rest;
  }

  function readBytes(input: Buffer, complete: () => void): Buffer {
    if (input.length < left) {
      left -= input.length;
      sink.data(input);
      return emptyBuffer;
    }
    const rest = input.subarray(left);
    sink.data(left === input.length ? input : input.subarray(0, left));
    left = 0;
    complete();
    return rest;
  }

  function readChunkSize(input: Buffer): Buffer {
    const end = lineEnd(input);
    if (end === -1) return input;
    const match = chunkSize.exec(input.toString("latin1", 0, end));
    if (match === null) throw new Error("the answer has a chunk without a proper size");
    left = Number.parseInt(match[1] as string, 16);
    state = left === 0 ? "trailers" : "chunk";
    return input.subarray(end + 2);
  }

  function readChunkEnd(input: Buffer): Buffer {
    if (input.length < 2) return input;
    if (input[0] !== 13 || input[1] !== 10) throw new Error("a chunk of the answer is longer than it says");
    state = "chunk-size";
    return input.subarray(2);
  }

  function readTrailers(input: Buffer): Buffer {
    if (input.length < 2) return input;
    if (input[0] === 13 && input[1] === 10) {
      finish();
      return input.subarray(2);
    }
    const end = input.indexOf("\r\n\r\n");
    if (end === -1) {
      if (input.length > headLimit) throw new Error("the trailers of the answer are too long");
      return input;
    }
    trailers = readFields(input.toString("latin1", 0, end).split("\r\n"), 0);
    finish();
    return input.subarray(end + 4);
  }

  function finish(): void {
    state = "done";
    sink.end(trailers);
  }
}

const emptyBuffer: Buffer = Buffer.alloc(0);
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
