import { posix } from "node:path";
import ts from "typescript";

/** Rooms that a room's modules may import, besides their own. ARCHITECTURE.md shows the same table. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  core: [],
  ports: ["core"],
  "engines/local": ["core", "ports", "lib"],
  "engines/kubernetes": ["core", "ports", "lib"],
  git: ["core", "ports", "lib"],
  environments: ["core", "ports", "lib"],
  secrets: ["core", "ports", "lib"],
  store: ["core", "ports", "lib"],
  artifacts: ["core", "ports", "lib"],
  image: ["core", "ports", "lib"],
  ci: ["core"],
  operations: ["core", "ports", "lib"],
  scheduler: ["operations", "core", "ports", "lib"],
  sync: ["operations", "core", "ports", "lib"],
  http: ["operations", "core", "ports", "lib"],
  cli: ["operations", "ci", "core", "ports", "lib"],
};

/** Modules directly in `src/`. The composition root, `wiring.ts`, knows everything, and only programs know it. */
const programs: Readonly<Record<string, readonly string[] | "everything">> = {
  "wiring.ts": "everything",
  "server-wiring.ts": "everything",
  "kubernetes-wiring.ts": "everything",
  "main.ts": ["wiring.ts", "cli", "core", "lib"],
  "index.ts": ["core"],
};

/** The only packages that core may use; they neither read nor write anything. */
const corePackages = ["yaml", "zod", "cronstrue", "@bufbuild/cel"];

/** Packages and parts of Node with one owner: what they are about is known nowhere else. */
const packageOwners: Readonly<Record<string, readonly string[]>> = {
  "node:child_process": ["lib"],
  execa: ["lib"],
  "node:sqlite": ["store"],
  "@kubernetes/client-node": ["engines/kubernetes"],
  commander: ["cli"],
  "@bomb.sh/tab": ["cli"],
  "cli-table3": ["cli"],
  picocolors: ["cli"],
  fastify: ["http"],
};

/** Globals with one owner: rooms, or files of `src/`. Programs that run as processes of their own may end themselves. */
const globalOwners: Readonly<Record<string, readonly string[]>> = {
  "process.env": ["wiring.ts"],
  "process.exit": ["main.ts", "own process"],
  console: ["cli"],
};

/**
 * What in `modules` (path from the project's root, `src/core/dag.ts` → text) breaks the rules: one line each, sorted.
 * Throws when there is no module at all, for then it has not looked at anything.
 */
export function architectureViolations(modules: ReadonlyMap<string, string>): readonly string[] {
  if (modules.size === 0) throw new Error("No module to check: the folder is wrong or empty");
  const ownProcesses = programsOfTheirOwn(modules);
  return [...modules]
    .flatMap(([path, text]) => {
      const found = [...wrongImports(path, text), ...wrongGlobals(path, text, ownProcesses)];
      return found.map((what) => `${path} ${what}`);
    })
    .sort();
}

function wrongImports(path: string, text: string): readonly string[] {
  const room = roomOf(path);
  const allowed = room in programs ? programs[room] : mayImport[room];
  if (allowed === undefined) return [`is in "${room}", for which there is no rule`];
  return importsOf(text).flatMap(({ specifier, dynamic }) => {
    if (!specifier.startsWith(".")) return wrongPackage(room, specifier, dynamic);
    if (!/\.(ts|json)$/.test(specifier)) return [`imports ${specifier} without its extension`];
    if (specifier.endsWith(".json")) return [];
    const target = posix.join(posix.dirname(path), specifier);
    const targetRoom = target.startsWith("src/") ? roomOf(target) : "outside src";
    if (targetRoom === room || allowed === "everything" || allowed.includes(targetRoom)) return [];
    if (room === "core" && target.startsWith("src/lib/pure/")) return [];
    return [`imports ${target}: ${room} may not import ${targetRoom}`];
  });
}

function wrongPackage(room: string, specifier: string, dynamic: boolean): readonly string[] {
  const name = packageName(specifier);
  const owners = packageOwners[name];
  if (owners !== undefined && !owners.includes(room)) {
    return [`imports ${name}, which belongs to ${owners.join(", ")}`];
  }
  if (room === "core" && !corePackages.includes(name)) return [`imports ${name}: core is pure`];
  if (dynamic && !name.startsWith("node:")) {
    // After bundling, a package in the older format has no named exports when it is imported so.
    return [`imports ${name} dynamically: import it in a module of ours, and that one dynamically`];
  }
  return [];
}

function wrongGlobals(path: string, text: string, ownProcesses: ReadonlySet<string>): readonly string[] {
  const roles = [roomOf(path), ...(ownProcesses.has(path) ? ["own process"] : [])];
  return Object.entries(globalOwners).flatMap(([name, owners]) =>
    !owners.some((owner) => roles.includes(owner)) && uses(text, name)
      ? [`uses ${name}, which belongs to ${owners.join(", ")}`]
      : [],
  );
}

/** Modules that another starts as a process: it names them by `new URL("./x.ts", import.meta.url)`. */
function programsOfTheirOwn(modules: ReadonlyMap<string, string>): ReadonlySet<string> {
  const reference = /new URL\(\s*"(\.{1,2}\/[^"]+\.ts)",\s*import\.meta\.url,?\s*\)/g;
  return new Set(
    [...modules].flatMap(([path, text]) =>
      [...text.matchAll(reference)].map(([, target = ""]) => posix.join(posix.dirname(path), target)),
    ),
  );
}

/** `src/engines/local/ingress/x.ts` → `engines/local`; `src/main.ts` → `main.ts`. */
function roomOf(path: string): string {
  const [first = "", second = "", ...rest] = path.slice("src/".length).split("/");
  return first === "engines" && rest.length > 0 ? `${first}/${second}` : first;
}

function packageName(specifier: string): string {
  if (specifier.startsWith("node:")) return specifier;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

interface Import {
  readonly specifier: string;
  readonly dynamic: boolean;
}

function importsOf(text: string): readonly Import[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName, pos }) => ({
    specifier: fileName,
    dynamic: /\bimport\s*\(\s*$/.test(text.slice(0, pos)),
  }));
}

/** True when the code (not a comment or a string) uses the global, `console` or `process.env`. */
function uses(text: string, name: string): boolean {
  const [object = "", property] = name.split(".");
  if (!text.includes(object)) return false;
  const visit = (node: ts.Node): boolean => {
    if (property === undefined && ts.isPropertyAccessExpression(node) && isName(node.expression, object))
      return true;
    if (property !== undefined && ts.isPropertyAccessExpression(node)) {
      if (isName(node.expression, object) && node.name.text === property) return true;
    }
    if (property !== undefined && ts.isElementAccessExpression(node) && isName(node.expression, object))
      return true;
    // `const { env } = process` and `import { env } from "node:process"` are the same thing in disguise.
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined && isName(node.initializer, object))
      return true;
    if (ts.isImportDeclaration(node) && isText(node.moduleSpecifier, `node:${object}`)) return true;
    return ts.forEachChild(node, (child) => visit(child) || undefined) === true;
  };
  return visit(ts.createSourceFile("module.ts", text, ts.ScriptTarget.Latest));
}

function isName(node: ts.Node, name: string): boolean {
  return ts.isIdentifier(node) && node.text === name;
}

function isText(node: ts.Node, text: string): boolean {
  return ts.isStringLiteral(node) && node.text === text;
}
