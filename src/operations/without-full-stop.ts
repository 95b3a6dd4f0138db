/** A message, which is a sentence, as a part of another one. */
export function withoutFullStop(message: string): string {
  return message.replace(/(?<!\.)\.$/, "");
}
