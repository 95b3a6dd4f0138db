/**
 * A replica as users write them: a program that knows nothing of an ingress and, when it is told to end, just ends.
 * Arguments: host, port.
 */
import { createServer } from "node:http";

const [host = "", port = ""] = process.argv.slice(2);

createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
  });
  request.on("end", () => {
    const answer = (): void => void response.end(`${request.method} ${request.url} ${length}\n`);
    if (request.url === "/slow") setTimeout(answer, 300);
    else answer();
  });
}).listen(Number(port), host, () => process.send?.("listening"));
