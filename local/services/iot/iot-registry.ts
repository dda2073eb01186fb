import type { CertificateAuthority } from '../../kernel/index.ts';
import { AwsError, type AwsService, arnOf, authorize, decodeUri } from '../../kernel/index.ts';

const PATHS = /^\/(?:things\/(?<thing>[^/]+)(?<principals>\/principals)?|certificates\/(?<certificate>[0-9a-f]{64}))$/;

/**
 * The part of AWS IoT's registry that revoking a device needs: DescribeThing, ListThingPrincipals, and
 * UpdateCertificate to REVOKED. Each device that has a local certificate is a thing of the given type with that
 * certificate.
 */
export function iotRegistryService(authority: CertificateAuthority, thingTypeName: string | undefined): AwsService {
  return {
    async handle({ method, path, query, identity }) {
      const { thing, principals, certificate } = PATHS.exec(path)?.groups ?? {};
      const check = (action: string, resource: string) => authorize(identity, `iot:${action}`, arnOf('iot', resource));
      if (method === 'GET' && thing !== undefined) {
        const thingName = decodeUri(thing);
        check(principals === undefined ? 'DescribeThing' : 'ListThingPrincipals', `thing/${thingName}`);
        const id = authority.certificateOf(thingName);
        if (id === undefined) throw new AwsError('ResourceNotFoundException', 404, `There is no thing ${thingName}.`);
        return json(
          principals === undefined ? { thingName, thingTypeName } : { principals: [arnOf('iot', `cert/${id}`)] },
        );
      }
      if (method === 'PUT' && certificate !== undefined && query.get('newStatus') === 'REVOKED') {
        check('UpdateCertificate', `cert/${certificate}`);
        authority.revoke(certificate);
        return json({});
      }
      throw new AwsError('InvalidRequestException', 400, `${method} ${path} is not imitated here.`);
    },
  };
}

const json = (body: object) => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
