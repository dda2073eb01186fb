/**
 * The database roles of the functions: each may read and write some rows and change no schema. The section "Grants" of
 * schema/000001_initial.sql says what each may do.
 */
export const DATABASE_ROLES = {
  /** What anybody on the Internet and unknown devices reach: links and the provisioning hook. */
  public: 'paku_public',
  /** What stores the messages of devices. */
  ingest: 'paku_ingest',
  /** What decides: operators, orchestrator, dispatch, registration of releases. */
  control: 'paku_control',
} as const;

export type DatabaseRole = keyof typeof DATABASE_ROLES;

/** The password of each role. */
export type RolePasswords = Readonly<Record<DatabaseRole, string>>;
