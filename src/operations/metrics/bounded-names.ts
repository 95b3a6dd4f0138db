/** Stands for all names beyond the limit. */
export const others = "(others)";

/**
 * Keeps the number of time series that Prometheus must store in bounds, whatever projects are called: the first names up
 * to the limit stay as they are, all later ones become `(others)`.
 */
export function createBoundedNames(
  limit: number,
): <const Names extends readonly string[]>(...names: Names) => Names {
  const known = new Set<string>();
  return (...names) => {
    const key = JSON.stringify(names);
    if (known.size < limit) known.add(key);
    return known.has(key) ? names : (names.map(() => others) as unknown as typeof names);
  };
}
