/** The text without user names and passwords in web addresses: tokens of private indexes and repositories. */
export function redact(text: string): string {
  return text.replace(/(https?:\/\/)[^\s/'"]*@/gi, "$1****@");
}
