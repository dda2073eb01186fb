export { RolloutHealthPanel } from './health.tsx';
export { ReleasePage } from './release.tsx';
export { releasePath } from './release-path.ts';
export { ReleasesPage } from './releases.tsx';
export { Warnings } from './verdict.tsx';
