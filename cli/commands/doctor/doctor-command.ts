import type { Command } from 'commander';
import { acts, addCommand } from '../../session/command.ts';
import { EXIT } from '../../session/failure.ts';
import type { Session } from '../../session/session.ts';
import { readAssumptions } from './assumptions.ts';
import { type Check, checkSystem } from './check-system.ts';
import { diagnosisText } from './diagnosis-text.ts';
import { gatherEvidence } from './gather-evidence.ts';

/** What `doctor --json` prints. */
export interface Diagnosis {
  readonly target: {
    readonly kind: 'local' | 'aws';
    readonly name: string;
    readonly api_url: string;
    readonly region: string;
  };
  readonly checks: readonly Check[];
  /** The lines of docs/aws-assumptions.md. */
  readonly assumptions: readonly Check[];
}

export function addDoctor(program: Command): void {
  const command = addCommand(
    program,
    'doctor',
    'check the system from here: endpoints, identity, clock, schema, dead letters, what AWS is trusted to do; changes nothing',
    ['paku-ota doctor', 'paku-ota doctor --aws --profile vans --json'],
  );
  acts<object, []>(command, async (session) => {
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
