import type { Command } from 'commander';
import {
  type Account,
  addCommand,
  CliError,
  EXIT,
  type Output,
  registerAccountAction,
  type Session,
} from '../../session/index.ts';
import { readAssumptions } from './assumptions.ts';
import { plannedDeployment, runChecks } from './before.ts';
import { beforeText } from './before-text.ts';
import type { Diagnosis } from './check.ts';
import { checkSystem } from './check-system.ts';
import { diagnosisText } from './diagnosis-text.ts';
import { gatherEvidence } from './gather-evidence.ts';

export function addDoctor(program: Command): void {
  const command = addCommand(
    program,
    'doctor',
    'check the system from here: endpoints, identity, clock, schema, dead letters, what AWS is trusted to do; changes nothing',
    ['paku-ota doctor', 'paku-ota doctor --aws --profile vans --json', 'paku-ota doctor --before --region eu-west-1'],
  ).option('--before', 'instead, say what an AWS account lacks for a first deployment; changes nothing');
  registerAccountAction<{ readonly before?: boolean }>(
    command,
    ({ before = false }) => before,
    lookBefore,
    async (session) => {
      const diagnosis = await diagnose(session);
      session.show(diagnosis, diagnosisText);
      const all = [...diagnosis.checks, ...diagnosis.assumptions];
      if (all.some(({ outcome }) => outcome === 'fail')) process.exitCode = EXIT.failed;
    },
  );
}

async function lookBefore(output: Output, account: Account): Promise<void> {
  const { accountChecks, readCaller } = await import('./account-checks.ts');
  const { regionChecks } = await import('./region-checks.ts');
  const { region, stack } = account;
  const arn = await readCaller(account).catch((error: Error) => {
    throw new CliError(account.describe(error), undefined, error);
  });
  const identity = { check: 'identity', outcome: 'ok', detail: arn, todo: null } as const;
  const planned = plannedDeployment(stack);
  const asked = await runChecks([...accountChecks(account, planned), ...regionChecks(account, planned)]);
  const checks = [identity, ...asked];
  output.show({ stack, region, checks }, beforeText);
  if (checks.some(({ outcome }) => outcome === 'missing')) process.exitCode = EXIT.failed;
}

async function diagnose(session: Session): Promise<Diagnosis> {
  const { kind, name, apiUrl, region } = session.target;
  const { checks, clock } = await checkSystem(session);
  const assumptions =
    kind === 'local' ? readAssumptions('imitated') : readAssumptions(await gatherEvidence(session, clock));
  return { target: { kind, name, api_url: apiUrl, region }, checks, assumptions };
}
