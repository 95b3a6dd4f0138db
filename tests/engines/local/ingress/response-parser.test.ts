import { request } from "node:http";
import { expect, test } from "vitest";
import { ResponseParser } from "../../../../src/engines/local/ingress/response-parser.ts";
import { startCannedUpstream } from "./support/upstream.ts";

interface Seen {
  readonly status: number | undefined;
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
  readonly interim: readonly number[];
  readonly whole: boolean;
  readonly reusable: boolean;
}

/** What the parser makes of these bytes when they come in pieces of these sizes, and then the connection closes. */
function read(text: string, sizes: readonly number[] = [text.length], method = "GET"): Seen {
  const seen = { status: undefined as number | undefined, headers: [] as readonly string[], body: "" };
  let trailers: readonly string[] = [];
  let whole = false;
  const interim: number[] = [];
  const parser = new ResponseParser(method, {
    interim: (head) => interim.push(head.status),
    head: (head) => Object.assign(seen, { status: head.status, headers: head.headers }),
    data: (chunk) => {
      seen.body += chunk.toString("latin1");
    },
    trailers: (found) => {
      whole = true;
      trailers = found;
    },
    switched: (head) => Object.assign(seen, { status: head.status, headers: head.headers }),
  });
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    parser.push(chunk);
    chunk.fill("#"); // Its memory is used again for the next.
    at += size;
  }
  const reusable = parser.reusable;
  parser.close();
  return { ...seen, trailers, interim, whole, reusable };
}

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const fixed = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const answers: readonly (readonly [what: string, text: string, reusable: boolean])[] = [
  ["a length", fixed, true],
  ["a length of nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true],
  ["chunks", `${chunked}5\r\nhello\r\n6;x="y"\r\n world\r\n000\r\n\r\n`, true],
  ["chunks and trailers", `${chunked}A\r\n0123456789\r\n0\r\nX-Sum: 45\r\nX-More: a b\r\n\r\n`, true],
  ["an end by closing", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it", false],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", false],
  ["no reason phrase", "HTTP/1.1 204 \r\nServer: x\r\n\r\n", true],
  ["nothing, not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", true],
  [
    "interim answers",
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${fixed}`,
    true,
  ],
  ["closing", fixed.replace("\r\n\r\n", "\r\nConnection: x, Close\r\n\r\n"), false],
  ["letters beyond ASCII", "HTTP/1.1 200 Gr\xfc\xdfe\r\nX: \xe9 \t \r\nContent-Length: 1\r\n\r\n\xff", true],
  [
    "many cookies",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    true,
  ],
];

test.each(answers)(
  "an answer with %s is read as Node reads it, however it is cut",
  async (_, text, reusable) => {
    const whole = read(text);
    expect(whole).toMatchObject({ whole: true, reusable });
    for (const sizes of [[1], [2, 3], [7, 1, 11], [64, 1]]) expect(read(text, sizes)).toEqual(whole);
    const { status, headers, body, trailers } = whole;
    expect({ status, headers, body, trailers }).toEqual(await readByNode(text));
  },
);

test("an answer to HEAD has no body, whatever its headers say", () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  expect(read(text, [3], "HEAD")).toMatchObject({ whole: true, body: "", reusable: true });
});

const wrong: readonly (readonly [what: string, text: string])[] = [
  ["no HTTP", "hello, this is not HTTP\r\n\r\n"],
  ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["the same length twice", fixed.replace("\r\n\r\n", "\r\ncontent-length:5\r\n\r\n")],
  ["a space after a chunk size", `${chunked}5 \r\nhello\r\n0\r\n\r\n`],
  ["two different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
  ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"],
  ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"],
  ["a length and chunks", `${chunked.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n")}0\r\n\r\n`],
  ["an unknown encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
  ["a space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"],
  ["a folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
  ["a bare line feed in the head", "HTTP/1.1 200 OK\nA: b\r\n\r\n"],
  ["a NUL in a header", "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n"],
  ["a chunk size that is none", `${chunked}0x5\r\nhello\r\n0\r\n\r\n`],
  ["a negative chunk size", `${chunked}-5\r\nhello\r\n0\r\n\r\n`],
  ["a chunk longer than it says", `${chunked}4\r\nhello\r\n0\r\n\r\n`],
  ["a head without end", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(70_000)}`],
  ["a chunk size without end", `${chunked}5;${"x".repeat(5_000)}`],
  ["a body that is cut off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"],
  ["chunks that are cut off", `${chunked}5\r\nhello\r\n`],
];

test.each(wrong)("an answer with %s is refused", (_, text) => {
  expect(() => read(text)).toThrow();
  expect(() => read(text, [1])).toThrow();
});

test("what follows an answer that nobody asked for makes the connection unfit for another request", () => {
  expect(read(`${fixed}HTTP/1.1 200 OK\r\n\r\n`)).toMatchObject({ body: "hello", reusable: false });
});

async function readByNode(text: string): Promise<Pick<Seen, "status" | "headers" | "body" | "trailers">> {
  const address = await startCannedUpstream(Buffer.from(text, "latin1"));
  return new Promise((resolve, reject) => {
    const asked = request({ ...address, agent: false }, (response) => {
      let body = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      const closes = !("content-length" in response.headers || "transfer-encoding" in response.headers);
      if (closes && response.statusCode === 200) setTimeout(() => asked.socket?.end(), 50);
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          headers: response.rawHeaders,
          body,
          trailers: response.rawTrailers,
        }),
      );
    });
    asked.once("error", reject);
    asked.end();
  });
}
