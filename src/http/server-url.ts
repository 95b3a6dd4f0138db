import { Failure } from "../core/failure.ts";
import { isLoopback } from "./loopback.ts";

/**
 * The address of a server as it is kept and called: without what says nothing (a last slash, the usual port). `insecureHttp`
 * lets the token go in clear to another machine. Fails: usage.
 */
export function parseServerUrl(text: string, { insecureHttp }: { readonly insecureHttp: boolean }): string {
  if (!URL.canParse(text) || !/^https?:\/\//i.test(text)) {
    throw new Failure("usage", `"${text}" is no address of a server.`, {
      hint: "It has the form https://HOST:PORT.",
    });
  }
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new Failure(
      "usage",
      `The address of a server has nothing but a host, a port and a path: ${url.origin}`,
    );
  }
  if (url.protocol === "http:" && !insecureHttp && !isLoopback(url.hostname)) {
    throw new Failure("usage", `${url.origin} is plain http: anybody on the way could read the token.`, {
      hint: "Use https. In a network where nobody else listens: bodywork login --insecure-http, or BODYWORK_INSECURE_HTTP=1.",
    });
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
