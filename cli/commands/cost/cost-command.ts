import { type Command, InvalidArgumentError } from 'commander';
import { addCommand, integerOption } from '../../session/index.ts';
import { table } from '../../text/index.ts';
import { type Bill, type Load, projectCost } from './cost-model.ts';

interface CostOptions extends Omit<Load, 'sweepMinutes'> {
  readonly sweep: number;
  readonly json?: boolean;
}

/** Needs no system: the projection is arithmetic. */
export function addCost(program: Command): void {
  addCommand(program, 'cost', 'what a deployment would cost in a month: a projection from list prices', [
    'paku-ota cost --devices 100 --period 60 --updates 1',
    'paku-ota cost --devices 10000 --period 900 --updates 2 --image-mib 1.5 --no-retained',
  ])
    .option('--devices <n>', 'number of devices', integerOption(1, 10_000_000), 100)
    .option('--period <seconds>', 'seconds between two statuses of a device', integerOption(1, 86_400), 60)
    .option('--updates <n>', 'updates per device and month', integerOption(0, 100), 1)
    .option('--image-mib <size>', 'image size in MiB', size, 1)
    .option('--rollout-hours <n>', 'hours that a rollout keeps the database awake', integerOption(1, 730), 24)
    .option('--sweep <minutes>', 'the setting idleSweepMinutes', integerOption(0, 1440), 60)
    .option('--no-retained', 'statuses are not published retained')
    .option('--basic-ingest', 'devices publish to $aws/rules/…', false)
    .option('--json', 'print JSON for programs')
    .action(({ sweep, json, ...load }: CostOptions & { readonly imageMib: number }) => {
      const bill = projectCost({ ...load, imageMiB: load.imageMib, sweepMinutes: sweep });
      console.log(json ? JSON.stringify(bill, null, 2) : costText(bill).join('\n'));
    });
}

const usd = (value: number) => value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export function costText({ lines, total, iotJobsFee }: Bill): string[] {
  const rows = [...lines, { service: 'total', cost: total, of: '' }];
  return [
    ...table(rows, [
      { head: 'SERVICE', value: ({ service }) => service },
      { head: 'USD A MONTH', value: ({ cost }) => usd(cost), align: 'right' },
      { head: 'OF', value: ({ of }) => of },
    ]),
    '',
    `AWS IoT Jobs would charge ${usd(iotJobsFee)} for the same updates, on top of connections, messages and downloads.`,
    'A projection from list prices of us-east-1 (November 2026), without the free tier; see docs/cost.md.',
  ];
}

function size(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 16) return value;
  throw new InvalidArgumentError('Expected a size in MiB, above 0 and at most 16.');
}
