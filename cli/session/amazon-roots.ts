import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.ts';

/**
 * The five roots that Amazon Trust Services recommends for a trust store of one's own, as PEM: Amazon Root CA 1 to 4 and
 * Starfield Services Root CA G2 (https://www.amazontrust.com/repository/). A server of AWS may present a chain to any of
 * them, and a device that misses a change of chains can never be updated again.
 */
export const readAmazonRoots = (): string => readFileSync(join(ROOT, 'docs/devices/amazon-roots.pem'), 'utf8');
