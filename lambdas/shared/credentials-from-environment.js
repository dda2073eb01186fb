// Replaces `@aws-sdk/credential-provider-node` in the bundles (lib/shared/ota-function.ts). Lambda hands a function the
// credentials of its role in environment variables (AWS_ACCESS_KEY_ID and others; Lambda Developer Guide, "Defined runtime
// environment variables"). The profiles, SSO, web identities and instance metadata of the default chain are of no use there.
export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env';
