import type { Sql } from '../../core/db/index.ts';
import type { LinkTarget } from '../../core/protocol/index.ts';
import type { TrustRule } from '../../core/release-policy/index.ts';
import { cancelUnfetched } from '../../core/rollouts/index.ts';
import { type Download, type Fetch, getDownload, markFetched, recordFetches } from '../../core/updates/index.ts';

export type OpenedLink =
  | { readonly kind: 'open'; readonly download: Download }
  /** No such attempt was sent. */
  | { readonly kind: 'unknown' }
  /** The release is not trusted any more, for this reason. */
  | { readonly kind: 'distrusted'; readonly reason: string }
  /** The update has ended. */
  | { readonly kind: 'over' };

/** Opens a link. This also acknowledges the command, because the device's acceptance (QoS 0) may have been lost. */
export async function openLink(sql: Sql, target: LinkTarget, now: Date, trust: TrustRule): Promise<OpenedLink> {
  const link = await resolveLink(sql, target, now, trust);
  if (link.kind === 'open') await recordOpened(sql, [{ ...target, deviceId: link.download.device_id }], now);
  return link;
}

/**
 * A stop also ends downloads that have not started: the update is canceled, so that the failed download does not count
 * as a failure.
 */
export async function resolveLink(sql: Sql, target: LinkTarget, now: Date, trust: TrustRule): Promise<OpenedLink> {
  const download = await getDownload(sql, target);
  if (download === undefined) return { kind: 'unknown' };
  const { is_open: isOpen, stopped_reason: reason } = download;
  if (reason !== null) await cancelUnfetched(sql, target.updateId, reason, now);
  const distrust = isOpen && reason === null ? trust.whyDistrusted(download.release_model, download, now) : null;
  if (distrust !== null) {
    await cancelUnfetched(sql, target.updateId, `the release is not trusted: ${distrust}`, now);
    return { kind: 'distrusted', reason: distrust };
  }
  return isOpen && reason === null ? { kind: 'open', download } : { kind: 'over' };
}

/** Records that links were opened: the updates are under way then. */
export async function recordOpened(sql: Sql, fetches: readonly Fetch[], now: Date): Promise<void> {
  await markFetched(sql, await recordFetches(sql, fetches, now));
}
