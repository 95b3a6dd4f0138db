/** Something is missing that the set-up can't provide; the message says what and how to get it. */
export class SetupProblem extends Error {}

/** A signal came while something was fetched. Whatever was half-made is gone. */
export class Interrupted extends Error {
  /** @param {NodeJS.Signals} signal */
  constructor(signal) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}
