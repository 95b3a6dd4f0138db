/** One controller a namespace at a time, also over several machines. */
export interface Leases {
  /**
   * Waits until this controller has the namespace's lease, and keeps it until `release`; `onWait` is told who has it.
   * `lost` aborts when it could not be kept (the controller was asleep for too long): whoever has it now decides.
   * Rejects when the signal aborts first.
   */
  take(
    namespace: string,
    holder: string,
    signal: AbortSignal,
    onWait: (holder: string) => void,
  ): Promise<{ readonly release: () => Promise<void>; readonly lost: AbortSignal }>;
  /** Who has it now; undefined when nobody has, or it has run out. */
  holder(namespace: string): Promise<string | undefined>;
}
