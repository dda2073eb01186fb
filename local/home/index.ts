export { type ClusterTarget, type Endpoints, Home } from './home.ts';
