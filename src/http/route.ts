import type { z } from "zod";

import type { Scope } from "../ports/access-store.ts";
import type { Caller } from "./access.ts";

/** One route of the API: whom it lets in, what it takes, and what it does. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/api/v1`, with parameters as `:name`. */
  readonly path: string;
  readonly scope: Scope;
  /** One line, for the OpenAPI document. */
  readonly summary: string;
  readonly schema: RouteSchema;
  /** Status of the answer when all went well; 200 if left out. */
  readonly status?: 201 | 202;
  /** How the audit log has it; undefined for what neither changes anything nor lets a secret out. */
  readonly audit?: Audited | undefined;
  readonly answer: Answer;
}

export interface RouteSchema {
  readonly params?: z.ZodType;
  readonly querystring?: z.ZodType;
  readonly body?: z.ZodType;
  /** Of the answer, where it is more than records that are sent as they are. */
  readonly response?: z.ZodType;
}

export interface Audited {
  /** `create secret`. */
  readonly what: string;
  /** `secret prod/database`; nothing of a value, a token or a URL's credentials. */
  readonly on: (request: RouteRequest) => string;
  /** There is no answer when it can't be recorded. */
  readonly required?: true;
}

/** `json`: one document. `lines`: JSON lines, as they come. `bytes`: a file. */
export type Answer =
  | { readonly kind: "json"; readonly of: (request: RouteRequest) => Promise<unknown> }
  | { readonly kind: "lines"; readonly of: (request: RouteRequest) => AsyncIterable<unknown> }
  | { readonly kind: "bytes"; readonly of: (request: RouteRequest) => AsyncIterable<Uint8Array> };

/** What was sent, checked against the route's schema. */
// biome-ignore lint/suspicious/noExplicitAny: what is asked of it is typed where a route is written.
export interface RouteRequest<Params = any, Query = any, Body = any> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly caller: Caller;
  /** Aborts when the caller is gone, or is no longer let in. */
  readonly signal: AbortSignal;
}

/** The type of a route's parts follows from its schemas. */
export function route<
  Params extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUndefined,
  Body extends z.ZodType = z.ZodUndefined,
>(
  spec: Omit<Route, "schema" | "audit" | "answer"> & {
    readonly params?: Params;
    readonly query?: Query;
    readonly body?: Body;
    readonly response?: z.ZodType;
    readonly audit?: {
      readonly what: string;
      readonly on: (request: Typed<Params, Query, Body>) => string;
      readonly required?: true;
    };
  } & OneAnswer<Typed<Params, Query, Body>>,
): Route {
  const { method, path, scope, summary, params, query, body, response, audit } = spec;
  return {
    ...{ method, path, scope, summary, audit },
    ...(spec.status === undefined ? {} : { status: spec.status }),
    schema: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { querystring: query }),
      ...(body === undefined ? {} : { body }),
      ...(response === undefined ? {} : { response }),
    },
    answer:
      spec.json !== undefined
        ? { kind: "json", of: spec.json }
        : spec.lines !== undefined
          ? { kind: "lines", of: spec.lines }
          : { kind: "bytes", of: spec.bytes },
  };
}

type Typed<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = RouteRequest<
  z.output<Params>,
  z.output<Query>,
  z.output<Body>
>;

type OneAnswer<Request> =
  | { readonly json: (request: Request) => Promise<unknown>; readonly lines?: never; readonly bytes?: never }
  | {
      readonly lines: (request: Request) => AsyncIterable<unknown>;
      readonly json?: never;
      readonly bytes?: never;
    }
  | {
      readonly bytes: (request: Request) => AsyncIterable<Uint8Array>;
      readonly json?: never;
      readonly lines?: never;
    };
