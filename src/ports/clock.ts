/** Time as an argument. */
export interface Clock {
  /** Wall clock, for records. */
  now(): Date;
  /** Milliseconds from an arbitrary start that never goes back, for durations and time-outs. */
  monotonic(): number;
  /** Resolves after the time, or rejects with the signal's reason. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}
