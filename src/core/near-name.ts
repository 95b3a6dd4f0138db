/** The known name that a mistyped one was likely meant to be; undefined when none is near. */
export function nearName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > 64) return undefined;
  const plain = plainName(name);
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = plainName(candidate) === plain ? 0 : editDistance(name, candidate);
    if (distance <= Math.min(2, Math.floor(candidate.length / 3)) && distance < (best?.distance ?? 3)) {
      best = { name: candidate, distance };
    }
  }
  return best?.name;
}

/** `secrets-group`, `secretsGroup` and `secrets_group` are one name to the eye. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[\s._-]+/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours, to 3 at most. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  let leastOfLast = 0;
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (beforeLast[j - 2] ?? 0) + 1 : 3;
      const distance = Math.min(replaced, swapped, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      row.push(distance);
      if (distance < least) least = distance;
    }
    // It only grows from here; a swap may still come from the row before.
    if (least > 2 && leastOfLast > 1) return 3;
    leastOfLast = least;
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 3;
}
