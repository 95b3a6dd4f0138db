/**
 * A client that costs little beside what it measures: plain sockets, one request at a time on each. Arguments: host,
 * port, path, connections, milliseconds, requests a second (0: as many as possible). Prints `{ rate, p50, p99 }`, the
 * last two in milliseconds. Ends with 1 when an answer is not 200.
 */
import { connect, type Socket } from "node:net";

const [host = "", port = "", path = "", connections = "", milliseconds = "", rate = ""] =
  process.argv.slice(2);
const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
const times: number[] = [];
const idle: (() => void)[] = [];
const owed: number[] = [];
let over = false;
let started = performance.now();

for (let client = 0; client < Number(connections); client++) open();
// The first half second warms both sides.
setTimeout(() => {
  times.length = 0;
  started = performance.now();
}, 500);
setTimeout(finish, 500 + Number(milliseconds));
if (Number(rate) > 0) schedule();

function open(): void {
  const socket = connect(Number(port), host);
  socket.setNoDelay(true);
  socket.once("error", (error) => fail(error.message));
  socket.once("connect", () => next(socket));
  let text = "";
  let due = 0;
  const send = (at: number): void => {
    due = at;
    socket.write(request);
  };
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    const head = text.indexOf("\r\n\r\n");
    if (head === -1) return;
    if (!text.startsWith("HTTP/1.1 200 ")) fail(text.slice(0, head));
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1]);
    if (text.length < head + 4 + length) return;
    text = "";
    times.push(performance.now() - due);
    next(socket);
  });

  function next(to: Socket): void {
    if (over) to.destroy();
    else if (Number(rate) === 0) send(performance.now());
    else {
      const at = owed.shift();
      if (at === undefined) idle.push(() => send(performance.now()));
      else send(at);
    }
  }
}

/** Requests are due at their time, whether a connection is free or not: waiting for one counts. */
function schedule(): void {
  const begun = performance.now();
  let sent = 0;
  setInterval(() => {
    const due = Math.floor(((performance.now() - begun) * Number(rate)) / 1000);
    for (; sent < due; sent++) {
      const send = idle.shift();
      if (send === undefined) owed.push(performance.now());
      else send();
    }
  }, 1);
}

function finish(): void {
  over = true;
  const seconds = (performance.now() - started) / 1000;
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  process.stdout.write(JSON.stringify({ rate: sorted.length / seconds, p50: at(0.5), p99: at(0.99) }));
  process.exit(0);
}

function fail(what: string): never {
  process.stderr.write(`${what}\n`);
  process.exit(1);
}
