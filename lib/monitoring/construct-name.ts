import type { IConstruct } from 'constructs';

/** Name of a construct for people: the logical id of its main resource without the hash, such as `IngestStatusQueue`. */
export const constructName = ({ node }: IConstruct): string =>
  node.path
    .split('/')
    .slice(1)
    // The CDK leaves this id out of logical ids.
    .filter((id) => id !== 'Default')
    .join('');
