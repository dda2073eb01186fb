import * as routes from '../../api/recovery.ts';
import { RECOVERABLE_STATES } from '../../core/policy/index.ts';
import { listRecoveries, planRecovery, type RecoveryPlan, recoverDevices } from '../../core/recovery/index.ts';
import { getRollout, type RolloutRow } from '../../core/rollouts/index.ts';
import { type App, json, type Services } from './context.ts';
import { notFound, RefusedCall } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

export function addRecoveryRoutes(app: App, { sql, now, settings }: Services): void {
  const trust = trustOf(settings);
  const rulesOf = () => ({ onlyOlder: settings.requireApproval });
  /** True for a recovery whose devices would get the release again that they were sent back from. */
  const mustBeApproved = ({ target_filter: filter }: RolloutRow) => settings.requireApproval && 'recovers' in filter;
  const find = async (idOrName: string): Promise<RolloutRow> => {
    const rollout = await getRollout(sql, idOrName);
    if (rollout === undefined) throw notFound(`rollout ${idOrName}`);
    return rollout;
  };

  app.openapi(routes.previewRecovery, async (c) => {
    const rollout = await find(c.req.valid('param').rollout);
    const plan = await planRecovery(sql, rollout, trust, now(), rulesOf());
    const by_version = plan.parts.map(({ release, devices, mayRun }) => ({
      firmware_version: release.version,
      devices,
      may_run: mayRun,
    }));
    const devices = by_version.reduce((sum, part) => sum + part.devices, 0);
    const held = plan.parts.reduce((sum, part) => sum + part.held, 0);
    const can_recover = RECOVERABLE_STATES.includes(rollout.state) && !mustBeApproved(rollout);
    return c.json(json({ ...describePlan(rollout, plan), can_recover, devices, held, by_version }), 200);
  });

  app.openapi(routes.recoverRollout, async (c) => {
    const rollout = await find(c.req.valid('param').rollout);
    if (!RECOVERABLE_STATES.includes(rollout.state)) {
      const detail = `Rollout "${rollout.name}" cannot be recovered: it is ${rollout.state}. Pause it first, so that it sends ${rollout.firmware_version} to no further device.`;
      throw new RefusedCall(409, detail);
    }
    if (mustBeApproved(rollout)) {
      const detail = `Rollout "${rollout.name}" is a recovery, and a second person must approve that its devices get the release again that they were sent back from. Create a rollout of that release.`;
      throw new RefusedCall(409, detail);
    }
    const change = { rolloutId: rollout.rollout_id, reason: c.req.valid('json').reason, by: c.get('caller') };
    const { assigned, plan } = await recoverDevices(sql, rollout, change, now(), trust, rulesOf());
    const recoveries = await listRecoveries(sql, rollout.rollout_id);
    return c.json(json({ ...describePlan(rollout, { ...plan, recoveries }), devices: assigned }), 200);
  });
}

const describePlan = (
  { rollout_id, state, firmware_version }: RolloutRow,
  { cannot, underWay, recoveries }: RecoveryPlan,
) => ({
  rollout_id,
  state,
  firmware_version,
  cannot: cannot.map(({ reason, devices, deviceIds }) => ({ reason, devices, device_ids: [...deviceIds] })),
  under_way: underWay,
  recoveries: [...recoveries],
});
