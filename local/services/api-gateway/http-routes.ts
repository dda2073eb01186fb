import { escapeRegExp } from '../../kernel/index.ts';

/** A compiled route key of an HTTP API, such as `GET /d/{token}`. */
export interface RoutePattern {
  /** Sort key: the most specific route comes first. */
  readonly rank: string;
  /** The decoded path parameters, or undefined if the route does not match. */
  match(method: string, path: string): Readonly<Record<string, string>> | undefined;
}

/** @throws Error unless the key is a method and a path */
export function compileRoute(routeKey: string): RoutePattern {
  const [, routeMethod, template] = /^([A-Z]+) (\/\S*)$/.exec(routeKey) ?? [];
  if (routeMethod === undefined || template === undefined) {
    throw new Error(`the local runtime does not know the route "${routeKey}"; expected a method and a path`);
  }
  const pattern = template
    .split(/\{(\w+\+?)\}/)
    .map((part, index) => {
      if (index % 2 === 0) return escapeRegExp(part);
      return part.endsWith('+') ? `(?<${part.slice(0, -1)}>.+)` : `(?<${part}>[^/]+)`;
    })
    .join('');
  const regex = new RegExp(`^${pattern}$`);
  // API Gateway prefers literal segments, then parameters, then greedy parameters, then ANY. `~` sorts after all of them.
  const segments = template.replaceAll(/\{\w+\+\}/g, '~~').replaceAll(/\{\w+\}/g, '~');
  return {
    rank: `${segments} ${routeMethod === 'ANY' ? '~' : routeMethod}`,
    match(method, path) {
      const found = routeMethod === 'ANY' || routeMethod === method ? regex.exec(path) : null;
      return found === null ? undefined : decodeAll(found.groups ?? {});
    },
  };
}

function decodeAll(groups: Readonly<Record<string, string>>): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    return undefined;
  }
}
