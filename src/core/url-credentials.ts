/** A repository's URL as it may be stored and shown: without the token of an http URL, without any password. */
export function withoutCredentials(url: string): string {
  return url
    .replace(/^(https?:\/\/)[^/?#]*@/i, "$1")
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/?#:@]*):[^/?#]*@/i, "$1@");
}
