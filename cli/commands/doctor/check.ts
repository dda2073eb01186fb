export type Outcome = 'pass' | 'partly' | 'fail' | 'not tested' | 'imitated';

export interface Check {
  readonly check: string;
  readonly outcome: Outcome;
  readonly detail: string;
}

/** What `doctor --json` prints. */
export interface Diagnosis {
  readonly target: {
    readonly kind: 'local' | 'aws';
    readonly name: string;
    readonly api_url: string;
    readonly region: string;
  };
  readonly checks: readonly Check[];
  /** One for each line of docs/aws-assumptions.md. */
  readonly assumptions: readonly Check[];
}
