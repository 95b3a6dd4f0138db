/** Whether the address of a repository, which the source takes, is reached over ssh: `ssh://…` or `user@host:path`. */
export function isSshAddress(url: string): boolean {
  return !/^(?!ssh:)[a-z][a-z0-9+.-]*:\/\//i.test(url);
}

/** Whether two addresses lead to one repository: `…/x`, `…/x/` and `…/x.git` do. */
export function isSameRepository(one: string, other: string): boolean {
  return withoutEnding(one) === withoutEnding(other);
}

function withoutEnding(url: string): string {
  return url.replace(/\/+$/, "").replace(/\.git$/, "");
}
