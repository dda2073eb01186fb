export { ACCOUNT, arnOf, REGION } from './account.ts';
export { type AwsServer, startAwsServer } from './aws-server.ts';
export {
  AwsError,
  type AwsRequest,
  type AwsService,
  authorize,
  decodeUri,
  type Headers,
  type Identity,
} from './aws-service.ts';
export { CertificateAuthority, type CertificateFiles, certificateId } from './certificates.ts';
export { type Clock, systemClock } from './clock.ts';
export { Disposables } from './disposables.ts';
export { tryAppend, writeFileAtomically } from './files.ts';
export { type Address, type Answer, type HttpServer, listen, readBody, startHttpServer } from './http-server.ts';
export { type Audit, compilePolicy, type Grant, type Policy } from './iam-policy.ts';
export { type Credentials, Identities, newKeys } from './identities.ts';
export type { Interceptors } from './interceptors.ts';
export { jsonService, operation } from './json-service.ts';
export { receiveSigned } from './signed-request.ts';
export type { SigV4Options } from './sigv4.ts';
export { escapeRegExp, splitOnce } from './text.ts';
export { type XmlContent, xmlElement } from './xml.ts';
