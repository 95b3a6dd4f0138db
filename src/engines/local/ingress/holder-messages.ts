import type { Address } from "../addresses.ts";
import type { IngressProgram } from "./control.ts";

/** What an ingress asks of its holder. */
export type ToHolder =
  /** Answered by `socket`; one that is open already is handed out again. Port 0 is any free one. */
  | { readonly do: "open"; readonly id: number; readonly address: Address }
  | { readonly do: "close"; readonly address: Address }
  /** It takes requests: whoever did so before may leave. */
  | { readonly do: "serving" }
  | { readonly do: "replace"; readonly program: IngressProgram };

/** What a holder tells an ingress. */
export type FromHolder =
  /** Comes with the socket itself, unless there is a code. */
  | { readonly tell: "socket"; readonly id: number; readonly address: Address; readonly code?: string }
  /** How many earlier ingresses are still at work on the requests that they took. */
  | { readonly tell: "predecessors"; readonly count: number }
  /** The program that was to replace it has ended before it could. */
  | { readonly tell: "not-replaced" }
  | { readonly tell: "leave"; readonly milliseconds: number };
