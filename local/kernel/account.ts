/** The local system has one account and one region. */
export const ACCOUNT = '000000000000';
export const REGION = 'eu-west-1';

/** @param resource such as `function:Name` */
export const arnOf = (service: string, resource: string) => `arn:aws:${service}:${REGION}:${ACCOUNT}:${resource}`;
