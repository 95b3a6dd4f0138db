/**
 * A secret in clear. It refuses to be printed: in a text, in JSON and in Node's own dumps it is `[secret]`; only `reveal`
 * gives it away.
 */
export class SecretValue {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}

/** Key → value of one secret. */
export type SecretData = Readonly<Record<string, SecretValue>>;

export function concealed(texts: Readonly<Record<string, string>>): SecretData {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, new SecretValue(text)]));
}

/** For where values have to leave us. */
export function revealed(data: SecretData): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.reveal()]));
}
