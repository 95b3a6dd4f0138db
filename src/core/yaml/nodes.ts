/** Tokens → a graph of tagged nodes (aliases point at the node they name), for YAML 1.1. */

import { type Place, YamlRefusal, yamlLimits } from "./problem.ts";
import { scalarTag, tagPrefix } from "./scalars.ts";
import { refuseNesting, type Token, Tokens } from "./tokens.ts";

export type YamlNode = ScalarNode | SequenceNode | MappingNode;

export interface ScalarNode extends Place {
  readonly kind: "scalar";
  readonly tag: string;
  readonly value: string;
}

export interface SequenceNode extends Place {
  readonly kind: "sequence";
  readonly tag: string;
  readonly items: YamlNode[];
}

export interface MappingNode extends Place {
  readonly kind: "mapping";
  readonly tag: string;
  readonly pairs: (readonly [key: YamlNode, value: YamlNode])[];
}

/** The only document of a text; undefined when there is none. Throws YamlRefusal. */
export function composeDocument(text: string): YamlNode | undefined {
  const tokens = new Tokens(text);
  const handles = startDocument(tokens);
  if (handles === undefined) return undefined;
  const composer = new Composer(tokens, handles.handles);
  const node =
    handles.explicit && isAtDocumentEnd(tokens) ? composer.empty(tokens.peek()) : composer.node(blockNode, 1);
  endDocument(tokens);
  refuseBombs(node);
  return node;
}

function startDocument(
  tokens: Tokens,
): { handles: ReadonlyMap<string, string>; explicit: boolean } | undefined {
  const first = tokens.peek();
  const explicit =
    first.type === "directive" || first.type === "document start" || first.type === "stream end";
  if (!explicit) return { handles: defaultHandles, explicit };
  if (first.type === "stream end") return undefined;
  const handles = readDirectives(tokens);
  const mark = tokens.next();
  if (mark.type !== "document start") throw refuse("--- must follow the directives", mark);
  return { handles, explicit };
}

function readDirectives(tokens: Tokens): ReadonlyMap<string, string> {
  const handles = new Map<string, string>();
  let versionSeen = false;
  for (let token = tokens.peek(); token.type === "directive"; token = tokens.peek()) {
    tokens.next();
    if (token.directive.name === "YAML") {
      if (versionSeen) throw refuse("there is more than one %YAML directive", token);
      if (token.directive.major !== 1) throw refuse("only YAML 1.x can be read", token);
      versionSeen = true;
    } else if (token.directive.name === "TAG") {
      if (handles.has(token.directive.handle)) throw refuse("this tag handle is declared twice", token);
      handles.set(token.directive.handle, token.directive.prefix);
    }
  }
  return new Map([...defaultHandles, ...handles]);
}

function isAtDocumentEnd(tokens: Tokens): boolean {
  return ["directive", "document start", "document end", "stream end"].includes(tokens.peek().type);
}

function endDocument(tokens: Tokens): void {
  while (tokens.peek().type === "document end") tokens.next();
  const token = tokens.peek();
  if (token.type === "stream end") return;
  const message =
    token.type === "document start" || token.type === "directive"
      ? "a second document starts here; a project file has one"
      : `${described(token)} cannot follow here`;
  throw refuse(message, token);
}

interface NodeContext {
  /** Block collections may start here. */
  readonly block: boolean;
  /** A list may stand at the indentation of its key. */
  readonly indentless: boolean;
}

const blockNode: NodeContext = { block: true, indentless: false };
const mappingValue: NodeContext = { block: true, indentless: true };
const flowNode: NodeContext = { block: false, indentless: false };

class Composer {
  readonly #tokens: Tokens;
  readonly #handles: ReadonlyMap<string, string>;
  readonly #anchors = new Map<string, YamlNode>();
  #values = 0;

  constructor(tokens: Tokens, handles: ReadonlyMap<string, string>) {
    this.#tokens = tokens;
    this.#handles = handles;
  }

  node(context: NodeContext, depth: number): YamlNode {
    const start = this.#tokens.peek();
    if (start.type === "alias") return this.#alias(this.#tokens.next());
    if (depth > yamlLimits.nesting) throw refuseNesting(start);
    this.#values += 1;
    if (this.#values > yamlLimits.values)
      throw new YamlRefusal("yaml-limit", `the file has more than ${yamlLimits.values} values`, start);
    const { tag, anchor } = this.#properties();
    if (anchor !== undefined && this.#anchors.has(anchor))
      throw refuse(`the anchor &${anchor} is defined twice`, start);
    const place = { line: start.line, column: start.column };
    const token = this.#tokens.peek();
    if (token.type === "scalar") {
      this.#tokens.next();
      const resolves = (token.plain && tag === undefined) || tag === "!";
      return this.#keep(anchor, this.#scalar(tag, resolves, token.value, place));
    }
    if (context.indentless && token.type === "-") {
      return this.#sequence(tag, anchor, place, (items) => this.#indentlessItems(items, depth));
    }
    if (token.type === "[")
      return this.#sequence(tag, anchor, place, (items) => this.#flowItems(items, depth));
    if (token.type === "{")
      return this.#mapping(tag, anchor, place, (pairs) => this.#flowPairs(pairs, depth));
    if (context.block && token.type === "block sequence start") {
      return this.#sequence(tag, anchor, place, (items) => this.#blockItems(items, depth));
    }
    if (context.block && token.type === "block mapping start") {
      return this.#mapping(tag, anchor, place, (pairs) => this.#blockPairs(pairs, depth));
    }
    if (tag !== undefined || anchor !== undefined) {
      return this.#keep(anchor, this.#scalar(tag, tag === undefined || tag === "!", "", place));
    }
    throw refuse(`a value must stand here, found ${described(token)}`, token);
  }

  empty(place: Place): ScalarNode {
    return { kind: "scalar", tag: `${tagPrefix}null`, value: "", line: place.line, column: place.column };
  }

  #alias(token: Token): YamlNode {
    const name = token.type === "alias" ? token.name : "";
    const node = this.#anchors.get(name);
    if (node === undefined) throw refuse(`*${name} names an anchor that is not defined above`, token);
    return node;
  }

  #properties(): { tag: string | undefined; anchor: string | undefined } {
    let tag: string | undefined;
    let anchor: string | undefined;
    for (;;) {
      const token = this.#tokens.peek();
      if (token.type === "anchor" && anchor === undefined) anchor = token.name;
      else if (token.type === "tag" && tag === undefined) tag = this.#tag(token.handle, token.suffix, token);
      else return { tag, anchor };
      this.#tokens.next();
    }
  }

  #tag(handle: string | undefined, suffix: string, place: Place): string {
    if (handle === undefined) return suffix;
    const prefix = this.#handles.get(handle);
    if (prefix === undefined) throw refuse(`the tag handle ${handle} is not declared`, place);
    return prefix + suffix;
  }

  #scalar(tag: string | undefined, resolves: boolean, value: string, place: Place): ScalarNode {
    const known = tag === undefined || tag === "!" ? undefined : tag;
    return { kind: "scalar", tag: known ?? scalarTag(value, resolves), value, ...place };
  }

  /** Kept before its items are read: an item may name the collection that holds it. */
  #sequence(
    tag: string | undefined,
    anchor: string | undefined,
    place: Place,
    read: (items: YamlNode[]) => void,
  ): YamlNode {
    const known = tag === undefined || tag === "!" ? `${tagPrefix}seq` : tag;
    const node: SequenceNode = { kind: "sequence", tag: known, items: [], ...place };
    this.#keep(anchor, node);
    read(node.items);
    return node;
  }

  #mapping(
    tag: string | undefined,
    anchor: string | undefined,
    place: Place,
    read: (pairs: MappingNode["pairs"]) => void,
  ): YamlNode {
    const known = tag === undefined || tag === "!" ? `${tagPrefix}map` : tag;
    const node: MappingNode = { kind: "mapping", tag: known, pairs: [], ...place };
    this.#keep(anchor, node);
    read(node.pairs);
    return node;
  }

  #keep(anchor: string | undefined, node: YamlNode): YamlNode {
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    return node;
  }

  #blockItems(items: YamlNode[], depth: number): void {
    const start = this.#tokens.next();
    while (this.#tokens.peek().type === "-") {
      const dash = this.#tokens.next();
      const isEmpty = this.#isNext("-", "block end");
      items.push(isEmpty ? this.empty(dash) : this.node(blockNode, depth + 1));
    }
    this.#closeBlock(start, "list");
  }

  #indentlessItems(items: YamlNode[], depth: number): void {
    while (this.#tokens.peek().type === "-") {
      const dash = this.#tokens.next();
      const isEmpty = this.#isNext("-", "?", ":", "block end");
      items.push(isEmpty ? this.empty(dash) : this.node(blockNode, depth + 1));
    }
  }

  #blockPairs(pairs: MappingNode["pairs"], depth: number): void {
    const start = this.#tokens.next();
    while (this.#tokens.peek().type === "?") {
      const mark = this.#tokens.next();
      const key = this.#isNext("?", ":", "block end") ? this.empty(mark) : this.node(mappingValue, depth + 1);
      addPair(pairs, key, this.#blockValue(depth));
    }
    this.#closeBlock(start, "mapping");
  }

  #blockValue(depth: number): YamlNode {
    const colon = this.#tokens.peek();
    if (colon.type !== ":") return this.empty(colon);
    this.#tokens.next();
    return this.#isNext("?", ":", "block end") ? this.empty(colon) : this.node(mappingValue, depth + 1);
  }

  #closeBlock(start: Place, what: string): void {
    const token = this.#tokens.next();
    if (token.type === "block end") return;
    throw refuse(
      `${described(token)} does not fit the ${what} that starts on line ${start.line}; is the indentation right?`,
      token,
    );
  }

  #flowItems(items: YamlNode[], depth: number): void {
    const start = this.#tokens.next();
    for (let first = true; !this.#isNext("]"); first = false) {
      if (!first) this.#flowComma(start, "]");
      if (this.#isNext("?")) items.push(this.#singlePair(depth + 1));
      else if (!this.#isNext("]")) items.push(this.node(flowNode, depth + 1));
    }
    this.#tokens.next();
  }

  /** `[a: b]` is a list with one mapping of one pair. */
  #singlePair(depth: number): MappingNode {
    const mark = this.#tokens.next();
    if (depth > yamlLimits.nesting) throw refuseNesting(mark);
    const key = this.#isNext(":", ",", "]") ? this.empty(mark) : this.node(flowNode, depth + 1);
    const pairs: MappingNode["pairs"] = [[key, this.#flowValue("]", depth)]];
    return { kind: "mapping", tag: `${tagPrefix}map`, pairs, line: mark.line, column: mark.column };
  }

  #flowPairs(pairs: MappingNode["pairs"], depth: number): void {
    const start = this.#tokens.next();
    for (let first = true; !this.#isNext("}"); first = false) {
      if (!first) this.#flowComma(start, "}");
      if (this.#isNext("?")) {
        const mark = this.#tokens.next();
        const key = this.#isNext(":", ",", "}") ? this.empty(mark) : this.node(flowNode, depth + 1);
        addPair(pairs, key, this.#flowValue("}", depth));
      } else if (!this.#isNext("}")) {
        const key = this.node(flowNode, depth + 1);
        addPair(pairs, key, this.empty(this.#tokens.peek()));
      }
    }
    this.#tokens.next();
  }

  #flowValue(end: "]" | "}", depth: number): YamlNode {
    const colon = this.#tokens.peek();
    if (colon.type !== ":") return this.empty(colon);
    this.#tokens.next();
    return this.#isNext(",", end) ? this.empty(colon) : this.node(flowNode, depth + 1);
  }

  #flowComma(start: Place, end: "]" | "}"): void {
    const token = this.#tokens.next();
    if (token.type === ",") return;
    throw refuse(
      `a comma or ${end} must stand here (opened on line ${start.line}), found ${described(token)}`,
      token,
    );
  }

  #isNext(...types: Token["type"][]): boolean {
    return types.includes(this.#tokens.peek().type);
  }
}

function addPair(pairs: MappingNode["pairs"], key: YamlNode, value: YamlNode): void {
  if (pairs.length === yamlLimits.keysPerMapping)
    throw new YamlRefusal("yaml-limit", `a mapping has more than ${yamlLimits.keysPerMapping} keys`, key);
  pairs.push([key, value]);
}

/** A few anchors that name each other can stand for billions of values. Counted, never written out. */
function refuseBombs(root: YamlNode): void {
  const counts = new Map<YamlNode, number>();
  const count = (node: YamlNode): number => {
    const known = counts.get(node);
    if (known !== undefined) return known;
    // A node that holds itself counts as nothing inside itself.
    counts.set(node, 0);
    let total = 1;
    if (node.kind === "sequence") for (const item of node.items) total += count(item);
    if (node.kind === "mapping") for (const [key, value] of node.pairs) total += count(key) + count(value);
    counts.set(node, total);
    return total;
  };
  if (count(root) > yamlLimits.values)
    throw new YamlRefusal("yaml-limit", "its aliases stand for too many values", root);
}

function refuse(message: string, place: Place): YamlRefusal {
  return new YamlRefusal("yaml-syntax", message, place);
}

function described(token: Token): string {
  switch (token.type) {
    case "scalar":
      return "a text";
    case "stream end":
      return "the end of the file";
    case "block end":
      return "a line that is indented less";
    case "block mapping start":
      return "a key";
    case "block sequence start":
      return "a list";
    case "tag":
    case "anchor":
    case "alias":
    case "directive":
      return `a${token.type.startsWith("a") ? "n" : ""} ${token.type}`;
    case "document start":
      return "---";
    case "document end":
      return "...";
    default:
      return token.type;
  }
}

const defaultHandles: ReadonlyMap<string, string> = new Map([
  ["!", "!"],
  ["!!", tagPrefix],
]);
