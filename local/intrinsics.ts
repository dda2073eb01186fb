/** What the values of other resources and of the environment are. Each throws for what it does not know. */
export interface Scope {
  ref(logicalId: string): unknown;
  getAtt(logicalId: string, attribute: string): unknown;
  importValue(exportName: string): unknown;
}

/** Resolves the CloudFormation intrinsics that our templates use; any other is an error. Everything else is copied. */
export function resolve(value: unknown, scope: Scope): unknown {
  if (Array.isArray(value)) return value.map((item) => resolve(item, scope));
  if (typeof value !== 'object' || value === null) return value;
  const [[key, argument] = ['', undefined], ...others] = Object.entries(value);
  if (others.length === 0 && (key === 'Ref' || key.startsWith('Fn::'))) return intrinsic(key, argument, scope);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolve(item, scope)]));
}

function intrinsic(name: string, argument: unknown, scope: Scope): unknown {
  switch (name) {
    case 'Ref':
      return scope.ref(String(argument));
    case 'Fn::GetAtt': {
      const [logicalId, attribute] = typeof argument === 'string' ? argument.split('.') : (argument as string[]);
      return scope.getAtt(String(logicalId), String(attribute));
    }
    case 'Fn::ImportValue':
      return scope.importValue(String(resolve(argument, scope)));
    case 'Fn::Join': {
      const [separator, items] = argument as [string, unknown];
      return (resolve(items, scope) as unknown[]).join(separator);
    }
    case 'Fn::Select': {
      const [index, items] = argument as [number | string, unknown];
      const list = resolve(items, scope) as unknown[];
      if (!(Number(index) in list)) throw new Error(`Fn::Select asks for item ${index} of ${list.length}`);
      return list[Number(index)];
    }
    case 'Fn::Split': {
      const [separator, text] = argument as [string, unknown];
      return String(resolve(text, scope)).split(separator);
    }
    case 'Fn::Sub':
      return substitute(argument, scope);
    default:
      throw new Error(`The template uses ${name}, which the local runtime does not know.`);
  }
}

function substitute(argument: unknown, scope: Scope): string {
  const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
  return String(text).replaceAll(/\$\{(!?)([^}]+)\}/g, (_whole, literal: string, name: string) => {
    if (literal !== '') return `\${${name}}`;
    const given = (variables as Record<string, unknown>)[name];
    if (given !== undefined) return String(resolve(given, scope));
    const [logicalId = '', attribute] = name.split('.');
    return String(attribute === undefined ? scope.ref(logicalId) : scope.getAtt(logicalId, attribute));
  });
}
