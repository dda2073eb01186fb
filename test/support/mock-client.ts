import { mockClient as mock } from 'aws-sdk-client-mock';

const mocks: { restore(): void }[] = [];

/** Replaces the calls of an AWS client until the end of the test file, because files share what they import. */
export const mockClient: typeof mock = (client, options) => {
  const replaced = mock(client, options);
  mocks.push(replaced);
  return replaced;
};

export function restoreClients(): void {
  for (const replaced of mocks.splice(0)) replaced.restore();
}
