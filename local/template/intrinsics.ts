/** Values that intrinsic functions refer to. Each method throws for an unknown name. */
export interface Scope {
  ref(logicalId: string): unknown;
  getAtt(logicalId: string, attribute: string): unknown;
  importValue(exportName: string): unknown;
}

/**
 * Resolves the CloudFormation intrinsics that the templates use, and copies other values.
 * @throws Error for another intrinsic
 */
export function resolve(value: unknown, scope: Scope): unknown {
  if (Array.isArray(value)) return value.map((item) => resolve(item, scope));
  if (typeof value !== 'object' || value === null) return value;
  const [[key, argument] = ['', undefined], ...others] = Object.entries(value);
  if (others.length === 0 && (key === 'Ref' || key.startsWith('Fn::'))) return intrinsic(key, argument, scope);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolve(item, scope)]));
}

function intrinsic(name: string, argument: unknown, scope: Scope): unknown {
  if (name === 'Ref') return scope.ref(String(argument));
  if (name === 'Fn::ImportValue') return scope.importValue(String(argument));
  if (name === 'Fn::GetAtt') {
    const [logicalId = '', attribute = ''] = argument as string[];
    return scope.getAtt(logicalId, attribute);
  }
  if (name === 'Fn::Join') {
    const [separator, items] = argument as [string, unknown[]];
    return items.map((item) => resolve(item, scope)).join(separator);
  }
  if (name === 'Fn::Sub' && typeof argument === 'string' && !/\$\{(!|[^}]*\.)/.test(argument)) {
    return argument.replaceAll(/\$\{([^}]+)\}/g, (_, reference: string) => String(scope.ref(reference)));
  }
  const example = JSON.stringify({ [name]: argument });
  throw new Error(`the local runtime does not know ${example}; it knows Ref, GetAtt, ImportValue, Join and plain Sub`);
}
