import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The values of a metric in the log of a function, in CloudWatch's embedded metric format. */
export function metricValues(home: string, functionName: string, metric: string): number[] {
  const lines = readFileSync(join(home, 'logs', `${functionName}.log`), 'utf8').split('\n');
  return lines
    .filter((line) => line.startsWith('{"_aws":'))
    .map((line) => (JSON.parse(line) as Record<string, unknown>)[metric])
    .filter((value) => typeof value === 'number');
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
