import { SCHEMA_MISMATCH } from '../../core/db/index.ts';

/**
 * What a person can do about a database that the migration refuses.
 * @param error of the custom resource that migrates
 * @param databaseUrl the database, if it is not in the home folder
 * @returns an error that names the place and the remedy; any other error as it is
 */
export function explainOtherSchema(error: Error, home: string, databaseUrl: string | undefined): Error {
  const [, difference] = error.message.split(`${SCHEMA_MISMATCH}: `);
  if (difference === undefined) return error;
  const { place, remedy } = databaseUrl === undefined ? ofFolder(home) : ofServer(databaseUrl, home);
  const message = `${place} was made by another version of paku-ota, and this version cannot use it: ${difference}\nTo start afresh, ${remedy}`;
  return new Error(message, { cause: error });
}

const LOST = 'All that is in it is lost: devices, releases, rollouts, certificates.';

const ofFolder = (home: string) => ({
  place: `The database in ${home}`,
  remedy: `remove the folder: rm -r '${home}'. ${LOST}`,
});

/** The folder goes with the database: ids that its queues hold would name other updates in a new one. */
function ofServer(databaseUrl: string, home: string) {
  const { host, pathname } = new URL(databaseUrl);
  return {
    place: `The database ${pathname.slice(1)} on ${host} (DATABASE_URL)`,
    remedy: `drop that database and create it again, and remove the folder ${home}, which belongs to it. ${LOST}`,
  };
}
