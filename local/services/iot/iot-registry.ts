import type { CertificateAuthority } from '../../kernel/index.ts';
import { AwsError, type AwsService, arnOf, authorize, decodeUri } from '../../kernel/index.ts';

const PATHS =
  /^\/(?:things\/(?<thing>[^/]+)(?<principals>\/principals)?|certificates\/(?<certificate>[0-9a-f]{64})|principals\/(?<ofPrincipal>things))$/;

/** The header that names the certificate of a request for its things. */
const PRINCIPAL = 'x-amzn-principal';

/**
 * The part of AWS IoT's registry that revoking devices and certificates needs: DescribeThing, ListThingPrincipals,
 * ListPrincipalThings, DescribeCertificate, and UpdateCertificate to REVOKED. Each device that has a local certificate is
 * a thing of the given type with its certificates.
 */
export function iotRegistryService(authority: CertificateAuthority, thingTypeName: string | undefined): AwsService {
  const ownerOf = (id: string) => {
    const found = authority.certificateById(id);
    if (found === undefined) throw new AwsError('ResourceNotFoundException', 404, `There is no certificate ${id}.`);
    return found;
  };
  return {
    async handle({ method, path, query, headers, identity }) {
      const { thing, principals, certificate, ofPrincipal } = PATHS.exec(path)?.groups ?? {};
      const check = (action: string, resource: string) => authorize(identity, `iot:${action}`, arnOf('iot', resource));
      if (method === 'GET' && thing !== undefined) {
        const thingName = decodeUri(thing);
        check(principals === undefined ? 'DescribeThing' : 'ListThingPrincipals', `thing/${thingName}`);
        const ids = authority.certificatesOf(thingName).map(({ id }) => id);
        if (ids.length === 0) throw new AwsError('ResourceNotFoundException', 404, `There is no thing ${thingName}.`);
        return json(
          principals === undefined
            ? { thingName, thingTypeName }
            : { principals: ids.map((id) => arnOf('iot', `cert/${id}`)) },
        );
      }
      if (method === 'GET' && ofPrincipal !== undefined) {
        const id = headers[PRINCIPAL]?.split('/').at(-1) ?? '';
        check('ListPrincipalThings', `cert/${id}`);
        return json({ things: [ownerOf(id).deviceId] });
      }
      if (method === 'GET' && certificate !== undefined) {
        check('DescribeCertificate', `cert/${certificate}`);
        const { createdAt } = ownerOf(certificate);
        const status = authority.isRevoked(certificate) ? 'REVOKED' : 'ACTIVE';
        return json({
          certificateDescription: { certificateId: certificate, status, creationDate: createdAt.getTime() / 1000 },
        });
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
