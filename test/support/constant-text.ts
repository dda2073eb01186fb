import { parseSync } from 'vite';

/** A node of an ESTree syntax tree. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
const nodesIn = (node: Node): Node[] => Object.values(node).flat().filter(isNode);

/** The nodes of a tree, each with its enclosing nodes from the outside in. */
function* walk(node: Node, enclosing: readonly Node[] = []): Generator<[Node, readonly Node[]]> {
  yield [node, enclosing];
  for (const child of nodesIn(node)) yield* walk(child, [...enclosing, node]);
}

const isFunction = ({ type }: Node) =>
  ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(type);
const nameOf = (node: unknown) => (isNode(node) && node.type === 'Identifier' ? String(node.name) : undefined);

export interface Statement {
  readonly text: string;
  /** Parts that can contain a value of a call. A statement with parameters only has none. */
  readonly open: readonly string[];
}

/** The text that a call runs: the first argument of `.query(…)`, the third of `select(…)`; undefined for other calls. */
function textArgument({ callee, arguments: given }: Node): { readonly text: Node | undefined } | undefined {
  if (nameOf((callee as Node).property) === 'query') return { text: (given as Node[])[0] };
  return nameOf(callee) === 'select' ? { text: (given as Node[])[2] } : undefined;
}

/** The statements of a source file. */
export function statementsIn(file: string, source: string): Statement[] {
  const program = parseSync(file, source).program as unknown as Node;
  const all = [...walk(program)];
  const textOf = ({ start, end }: Node) => source.slice(start, end);

  /** Parts of an expression that can differ between calls. */
  function openParts(node: Node, enclosing: readonly Node[]): string[] {
    const inside = (child: unknown) => (isNode(child) ? openParts(child, enclosing) : []);
    switch (node.type) {
      case 'Literal':
        return [];
      case 'TemplateLiteral':
        return (node.expressions as Node[]).flatMap(inside);
      case 'BinaryExpression':
        return [...inside(node.left), ...inside(node.right)];
      case 'ConditionalExpression':
        return [...inside(node.consequent), ...inside(node.alternate)];
      case 'Identifier':
        return openName(node, enclosing);
      case 'CallExpression':
        // A call of a function of the module is constant if its arguments are. A method call is never constant.
        return nameOf(node.callee) === undefined ? [textOf(node)] : (node.arguments as Node[]).flatMap(inside);
      default:
        return [textOf(node)];
    }
  }

  /** A name that is bound at module level is constant. Inside a function, a name is as constant as its value. */
  function openName(node: Node, enclosing: readonly Node[]): string[] {
    const name = nameOf(node);
    const at = enclosing.findLastIndex((outer) => isFunction(outer) && binds(outer, name));
    if (at === -1) return [];
    const owner = enclosing[at] as Node;
    const path = enclosing.slice(0, at);
    const position = (owner.params as Node[]).findIndex((param) => nameOf(param) === name);
    const declaration = [...walk(owner)].find(
      ([each]) => each.type === 'VariableDeclarator' && nameOf(each.id) === name,
    );
    if (isNode(declaration?.[0].init)) return openParts(declaration[0].init, [...path, ...declaration[1]]);
    const calls = position === -1 ? [] : callsOf(owner);
    const openArguments = calls.flatMap(([call, callers]) => {
      const argument = (call.arguments as Node[])[position];
      return argument === undefined ? [textOf(node)] : openParts(argument, callers);
    });
    return calls.length === 0 ? [textOf(node)] : openArguments;
  }

  const binds = (owner: Node, name: string | undefined) =>
    [...walk({ type: 'Params', start: 0, end: 0, params: owner.params })].some(([each]) => nameOf(each) === name) ||
    [...walk(owner)].some(
      ([each]) =>
        each.type === 'VariableDeclarator' && [...walk(each.id as Node)].some(([bound]) => nameOf(bound) === name),
    );

  /** All calls of a function that is declaration to the module; none for an exported function. */
  function callsOf(owner: Node): [Node, readonly Node[]][] {
    const name = nameOf(owner.id);
    const isExported = all.some(([each]) => each.type === 'ExportNamedDeclaration' && each.declaration === owner);
    if (name === undefined || isExported) return [];
    return all.filter(([each]) => each.type === 'CallExpression' && nameOf(each.callee) === name);
  }

  return all.flatMap(([node, enclosing]) => {
    const found = node.type === 'CallExpression' ? textArgument(node) : undefined;
    if (found === undefined) return [];
    if (found.text === undefined) return [{ text: '', open: [textOf(node)] }];
    return [{ text: textOf(found.text), open: openParts(found.text, [...enclosing, node]) }];
  });
}
