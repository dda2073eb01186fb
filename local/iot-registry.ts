import { arnOf } from './account.ts';
import { AwsError, type AwsService, decodeUri, permit } from './aws-service.ts';
import type { CertificateAuthority } from './certificates.ts';

/**
 * As much of AWS IoT's registry as revoking a device takes: ListThingPrincipals, UpdateCertificate to REVOKED,
 * DetachThingPrincipal. A thing has the one certificate that this machine made for it.
 */
export function iotRegistryService(authority: CertificateAuthority): AwsService {
  return {
    async handle({ method, path, query, headers, identity }) {
      const [, thing, certificate] =
        /^\/(?:things\/([^/]+)\/principals|certificates\/([0-9a-f]{64}))$/.exec(path) ?? [];
      const thingName = decodeUri(thing ?? '');
      const may = (action: string, resource: string) => permit(identity, `iot:${action}`, arnOf('iot', resource));
      if (method === 'GET' && thing !== undefined) {
        may('ListThingPrincipals', `thing/${thingName}`);
        const id = authority.certificateOf(thingName);
        return json({ principals: id === undefined ? [] : [arnOf('iot', `cert/${id}`)] });
      }
      if (method === 'PUT' && certificate !== undefined && query.get('newStatus') === 'REVOKED') {
        may('UpdateCertificate', `cert/${certificate}`);
        authority.revoke(certificate);
        return json({});
      }
      if (method === 'DELETE' && thing !== undefined) {
        may('DetachThingPrincipal', `thing/${thingName}`);
        authority.detach(thingName, headers['x-amzn-principal']?.split('/').at(-1) ?? '');
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
