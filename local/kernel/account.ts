/** There is one account and one region on a laptop. */
export const ACCOUNT = '000000000000';
export const REGION = 'eu-west-1';

/** @param resource such as `function:Name` */
export const arnOf = (service: string, resource: string) => `arn:aws:${service}:${REGION}:${ACCOUNT}:${resource}`;
