/**
 * What an ingress has counted since it started. It is sent from the ingress to the server, which may be of another
 * version: add fields, never rename them.
 */
export interface IngressStats {
  /** Upper bounds of the first buckets, in seconds; the last bucket, for all that took longer, has none. */
  readonly bounds: readonly number[];
  /** Every service that is routed to, also those that nobody has asked for anything. */
  readonly services: readonly ServiceRequests[];
  /** Requests that belonged to no service, by status code. */
  readonly unrouted: CountByCode;
}

export interface ServiceRequests {
  readonly namespace: string;
  /** The sanitised name, as in its route. */
  readonly service: string;
  /** 499: the client left before there was an answer. */
  readonly codes: CountByCode;
  /** Requests by how long they took, each in one bucket only. */
  readonly buckets: readonly number[];
  /** What all of them took together. */
  readonly seconds: number;
}

/** HTTP status code → requests; codes that were never given are left out. */
export type CountByCode = Readonly<Record<string, number>>;
