import { writeFileSync } from 'node:fs';
import { bundledPackages, drawThirdParty, makeSbom } from './third-party.ts';

/** `npm run sbom`: generates docs/sbom.cdx.json and docs/third-party.md. A test fails if they are out of date. */
const docs = new URL('../docs/', import.meta.url);
writeFileSync(new URL('sbom.cdx.json', docs), await makeSbom());
writeFileSync(new URL('third-party.md', docs), drawThirdParty(await bundledPackages()));
