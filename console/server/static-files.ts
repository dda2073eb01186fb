import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';

export interface StaticFile {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** For files whose name contains a hash of their content. */
const IMMUTABLE = 'private, max-age=31536000, immutable';

/** Every file of a folder by its path. They are read once, so that the path of a request is never opened. */
export function readStaticFiles(folder: string): ReadonlyMap<string, StaticFile> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => statSync(join(folder, name)).isFile());
  return new Map(
    files.map((name) => {
      const path = `/${name.replaceAll('\\', '/')}`;
      const type = TYPES[extname(name)] ?? 'application/octet-stream';
      const cached = path.startsWith('/assets/') ? { 'cache-control': IMMUTABLE } : {};
      return [path, { body: readFileSync(join(folder, name)), headers: { 'content-type': type, ...cached } }];
    }),
  );
}
