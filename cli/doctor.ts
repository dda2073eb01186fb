import type { Command } from 'commander';
import { readAssumptions } from './assumptions.ts';
import { acts, addCommand } from './command.ts';
import { type Check, checkSystem } from './doctor-checks.ts';
import { gatherEvidence } from './doctor-evidence.ts';
import { EXIT } from './failure.ts';
import type { Session } from './session.ts';
import { diagnosisText } from './text/doctor-text.ts';

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
