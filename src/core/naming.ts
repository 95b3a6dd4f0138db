/**
 * The name of a stage, namespace or deployment in Kubernetes' world and in routes: surrounding white space goes, every
 * run of characters other than ASCII letters, digits and dots becomes one hyphen. Not lower-cased, not cut, edges kept,
 * as in the original; the result may be illegal in Kubernetes.
 */
export function sanitisedName(name: string): string {
  return name.replace(surroundingSpace, "").replace(/[^A-Za-z0-9.]+/g, "-");
}

/** Why Kubernetes refuses a name for that use; undefined when it takes it. */
export function kubernetesNameProblem(name: string, use: NameUse): string | undefined {
  if (name.length > 63) return "is longer than 63 characters";
  if (nameForms[use].test(name)) return undefined;
  if (/[A-Z]/.test(name)) return "has capital letters";
  return `is not made of ${use === "job" ? "small letters, digits, dots and hyphens" : "small letters, digits and hyphens"}, beginning with a ${use === "service" ? "letter" : "letter or digit"} and ending with a letter or digit`;
}

type NameUse = "namespace" | "service" | "job";

/** RFC 1123 labels and subdomains, and for services RFC 1035 labels. */
const nameForms: Readonly<Record<NameUse, RegExp>> = {
  namespace: /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/,
  service: /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/,
  job: /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/,
};

/** What Python's `strip` takes for white space; JavaScript's `trim` differs in U+001C–U+001F, U+0085 and U+FEFF. */
const space = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const surroundingSpace = new RegExp(`^${space}|${space}$`, "g");
