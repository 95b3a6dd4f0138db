import ts from "typescript";

/**
 * The titles of the tests in a file's text, as they are written, each behind those of the groups that it is in; `…` stands
 * where the code puts something in.
 */
export function testTitles(text: string): readonly string[] {
  const titles: string[] = [];
  const look = (node: ts.Node, groups: readonly string[]): void => {
    let inside = groups;
    const title = ts.isCallExpression(node) ? titleOf(node.arguments[0]) : undefined;
    if (ts.isCallExpression(node) && title !== undefined) {
      if (isCallOf(node.expression, ["test", "it"])) titles.push([...groups, title].join(" "));
      if (isCallOf(node.expression, ["describe"])) inside = [...groups, title];
    }
    ts.forEachChild(node, (child) => look(child, inside));
  };
  look(ts.createSourceFile("test.ts", text, ts.ScriptTarget.Latest), []);
  return titles;
}

/** `test(…)`, `test.skipIf(…)(…)`, `test.for(…)(…)`. */
function isCallOf(called: ts.Expression, names: readonly string[]): boolean {
  if (ts.isIdentifier(called)) return names.includes(called.text);
  if (!ts.isPropertyAccessExpression(called) && !ts.isCallExpression(called)) return false;
  return isCallOf(called.expression, names);
}

function titleOf(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined;
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join("");
}
