import type { Command } from 'commander';
import type { Session } from '../../session/index.ts';
import { addCommand, EXIT, registerAction } from '../../session/index.ts';
import { readAssumptions } from './assumptions.ts';
import type { Diagnosis } from './check.ts';
import { checkSystem } from './check-system.ts';
import { diagnosisText } from './diagnosis-text.ts';
import { gatherEvidence } from './gather-evidence.ts';

export function addDoctor(program: Command): void {
  const command = addCommand(
    program,
    'doctor',
    'check the system from here: endpoints, identity, clock, schema, dead letters, what AWS is trusted to do; changes nothing',
    ['paku-ota doctor', 'paku-ota doctor --aws --profile vans --json'],
  );
  registerAction<object, []>(command, async (session) => {
    const diagnosis = await diagnose(session);
    session.show(diagnosis, diagnosisText);
    const all = [...diagnosis.checks, ...diagnosis.assumptions];
    if (all.some(({ outcome }) => outcome === 'fail')) process.exitCode = EXIT.failed;
  });
}

async function diagnose(session: Session): Promise<Diagnosis> {
  const { kind, name, apiUrl, region } = session.target;
  const { checks, clock } = await checkSystem(session);
  const assumptions =
    kind === 'local' ? readAssumptions('imitated') : readAssumptions(await gatherEvidence(session, clock));
  return { target: { kind, name, api_url: apiUrl, region }, checks, assumptions };
}
