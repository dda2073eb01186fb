import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE_ENGINE } from '../../../core/db/index.ts';
import { ROOT, type Target } from '../../session/index.ts';

/** What an account has of what a first deployment needs. */
export interface BeforeCheck {
  readonly check: string;
  readonly outcome: 'ok' | 'missing' | 'unknown';
  readonly detail: string;
  /** Null if nothing is to be done. */
  readonly todo: string | null;
}

/** What `doctor --before --json` prints. */
export interface BeforeReport {
  readonly stack: string;
  readonly region: string;
  readonly checks: readonly BeforeCheck[];
}

/** The deployment that is meant: its settings as far as an account may lack something for them. */
export interface Planned {
  readonly stack: string;
  readonly topicPrefix: string;
  readonly commandTransport: 'direct' | 'publish';
  readonly engineVersion: string;
}

export type Verdict = Omit<BeforeCheck, 'check'>;

export interface AccountCheck {
  readonly check: string;
  /** The actions of IAM that the calls need. */
  readonly needs: readonly string[];
  run(): Promise<Verdict>;
}

export type Caller = Pick<Target, 'region' | 'credentials'>;

/** Types that CloudFormation lacks in some regions. */
export const REGIONAL_TYPES = [
  'AWS::IoT::Policy',
  'AWS::IoT::ProvisioningTemplate',
  'AWS::IoT::ThingGroup',
  'AWS::IoT::ThingType',
  'AWS::IoT::TopicRule',
  'AWS::RDS::DBCluster',
  'AWS::Scheduler::Schedule',
] as const;

export const ok = (detail: string): Verdict => ({ outcome: 'ok', detail, todo: null });
export const missing = (detail: string, todo: string): Verdict => ({ outcome: 'missing', detail, todo });
export const unknown = (detail: string, todo: string | null): Verdict => ({ outcome: 'unknown', detail, todo });

type PlannedSettings = Partial<Pick<Planned, 'topicPrefix' | 'commandTransport'>> & {
  readonly database?: Partial<Pick<Planned, 'engineVersion'>>;
};

/** Settings of cdk.json that concern the account. The stack is the one that the command names. */
export function plannedDeployment(stack: string): Planned {
  const { context = {} } = JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8')) as {
    readonly context?: Readonly<Record<string, PlannedSettings | undefined>>;
  };
  const { topicPrefix = 'paku', commandTransport = 'direct', database = {} } = context['paku-ota'] ?? {};
  const { engineVersion = DATABASE_ENGINE.version } = database;
  return { stack, topicPrefix, commandTransport, engineVersion };
}

/** The results of checks, in their order. One that is not permitted, or gets no answer, is unknown. */
export function runChecks(checks: readonly AccountCheck[]): Promise<BeforeCheck[]> {
  return Promise.all(
    checks.map(async ({ check, needs, run }) => ({
      check,
      ...(await run().catch((error) => unanswered(error, needs))),
    })),
  );
}

/** Codes differ by service: `AccessDenied` (IAM, RDS), `AccessDeniedException`, `UnauthorizedException`, … */
const isDenied = ({ name }: Error) => /AccessDenied|NotAuthorized|Unauthorized|Forbidden/.test(name);

function unanswered(error: Error, needs: readonly string[]): Verdict {
  const permission = needs.join(' and ');
  if (isDenied(error)) return unknown('your identity may not ask', `needs the permission ${permission}`);
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return unknown(`AWS gave no answer to ${permission}: ${code ?? `${error.name}: ${message}`}`, 'try again');
}
