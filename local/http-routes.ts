import { escapeRegExp } from './text.ts';

/** A route key of an HTTP API, such as `GET /d/{token}`. */
export interface RoutePattern {
  readonly routeKey: string;
  /** The decoded path parameters, or undefined where the route is not this request's. */
  match(method: string, path: string): Readonly<Record<string, string>> | undefined;
}

const ROUTE_KEY = /^(ANY|[A-Z]+) (\/\S*)$/;

/** @throws Error for anything else than a method and a path */
export function compileRoute(routeKey: string): RoutePattern {
  const [, routeMethod, template] = ROUTE_KEY.exec(routeKey) ?? [];
  if (routeMethod === undefined || template === undefined) {
    throw new Error(`the local runtime does not know the route "${routeKey}"; expected a method and a path`);
  }
  const pattern = template
    .split(/(\{\w+\+?\})/)
    .map((part) => {
      const [, name, greedy] = /^\{(\w+)(\+?)\}$/.exec(part) ?? [];
      if (name === undefined) return escapeRegExp(part);
      return `(?<${name}>${greedy ? '.+' : '[^/]+'})`;
    })
    .join('');
  const regex = new RegExp(`^${pattern}$`);
  return {
    routeKey,
    match(method, path) {
      if (routeMethod !== 'ANY' && routeMethod !== method) return undefined;
      const found = regex.exec(path);
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

/** Puts the most specific first, as API Gateway chooses: plain segments, then parameters, then greedy ones, then ANY. */
export function bySpecificity(a: { readonly routeKey: string }, b: { readonly routeKey: string }): number {
  const [keyA, keyB] = [sortKey(a.routeKey), sortKey(b.routeKey)];
  return keyA < keyB ? -1 : Number(keyA > keyB);
}

/** `~` sorts after every character of a plain segment. */
function sortKey(routeKey: string): string {
  const [method = '', path = ''] = routeKey.split(' ');
  const segments = path.replaceAll(/\{\w+\+\}/g, '~~').replaceAll(/\{\w+\}/g, '~');
  return `${segments} ${method === 'ANY' ? '~' : method}`;
}
