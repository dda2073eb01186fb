import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { draftForDevice } from '../../../api/device-draft.ts';
import type { DeviceDetail } from '../../../api/devices.ts';
import { api } from '../data/client.ts';
import { ChangeReach, HoldDialog, useAskedSave } from '../holds/index.ts';
import { ActionDialog, ReasonDialog } from '../ui/dialog.tsx';
import { CheckField, SelectField, TextAreaField, TextField } from '../ui/form.tsx';
import { attributeChanges, attributeLines } from './attributes.ts';

interface DialogProps {
  readonly device: DeviceDetail;
  readonly onClose: () => void;
}

const listOf = (text: string) => [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');

export function GroupsDialog({ device, onClose }: DialogProps) {
  const [groups, setGroups] = useState(device.groups.join(', '));
  const named = listOf(groups);
  const change = {
    device_ids: [device.device_id],
    join_groups: named,
    leave_groups: device.groups.filter((name) => !named.includes(name)),
  };
  const { act, button, question } = useAskedSave(change, () => api.setGroups(device.device_id, named));
  return (
    <ActionDialog title={`Groups of ${device.device_id}`} button={button} act={act} onClose={onClose}>
      <TextField label="Groups" name="groups" value={groups} onChange={setGroups} hint="Names, separated by commas." />
      {question}
    </ActionDialog>
  );
}

export function AttributesDialog({ device, onClose }: DialogProps) {
  // The attributes when the dialog opened: an attribute that somebody else sets meanwhile is not changed.
  const [before] = useState(() => attributeLines(device.metadata));
  const [lines, setLines] = useState(before);
  const changes = attributeChanges(lines, before);
  const change = { device_ids: [device.device_id], metadata: changes ?? {} };
  const { act, button, question } = useAskedSave(change, () => api.setAttributes(device.device_id, changes ?? {}));
  return (
    <ActionDialog
      title={`Attributes of ${device.device_id}`}
      button={button}
      ready={changes !== undefined}
      act={act}
      onClose={onClose}
    >
      <p>Rollouts can select devices by attributes.</p>
      <TextAreaField
        label="Attributes"
        name="metadata"
        hint={changes === undefined ? 'A line is not an attribute: expected name=value.' : 'name=value, one per line.'}
        rows={4}
        value={lines}
        onChange={setLines}
      />
      {question}
    </ActionDialog>
  );
}

/** Holds a device: it is sent nothing until the hold has ended. */
export const HoldDeviceDialog = ({ device: { device_id }, onClose }: DialogProps) => (
  <HoldDialog target={{ scope: 'device', device_id }} onClose={onClose} />
);

/** Revokes a device, for example one that was stolen. */
export function RevokeDialog({ device: { device_id: id }, onClose }: DialogProps) {
  return (
    <ReasonDialog
      title={`Revoke ${id}`}
      button="Revoke"
      danger
      confirmation="I understand that its certificates stop working for good"
      act={(reason) => api.revokeDevice(id, reason)}
      onClose={onClose}
    >
      <p>Its certificates are refused, its connection ends, its update is canceled, and no rollout will target it.</p>
    </ReasonDialog>
  );
}

export function ReinstateDialog({ device: { device_id: id }, onClose }: DialogProps) {
  return (
    <ReasonDialog
      title={`Reinstate ${id}`}
      button="Reinstate"
      act={(reason) => api.reinstateDevice(id, reason)}
      onClose={onClose}
    >
      <p>
        Rollouts mean it again. Its old certificates stay refused: it needs a new one,{' '}
        <code>paku-ota device add {id}</code>.
      </p>
      <ChangeReach change={{ device_ids: [id], reinstate: true }} />
    </ReasonDialog>
  );
}

/** Accepts the model and MAC address that a device reports instead of those that are known. */
export function AcceptDialog({ device, onClose }: DialogProps) {
  const { device_id: id } = device;
  return (
    <ReasonDialog
      title={`Accept the identity of ${id}`}
      button="Accept"
      act={(reason) => api.acceptIdentity(id, reason)}
      onClose={onClose}
    >
      <p>It {device.identity_change}.</p>
      <ChangeReach change={{ device_ids: [id], accept_identity: true }} />
      <p>If this board was not replaced and its firmware did not change, revoke the device instead.</p>
    </ReasonDialog>
  );
}

/** States the model of a device that does not report it. */
export function StateModelDialog({ device: { device_id: id, device_model: assumed }, onClose }: DialogProps) {
  const [model, setModel] = useState('');
  const stated = model.trim() || assumed;
  return (
    <ReasonDialog
      title={`State the model of ${id}`}
      button="State"
      act={(reason) => api.acceptIdentity(id, reason, stated)}
      onClose={onClose}
    >
      <p>
        Its model was never stated. Rollouts of this model may update it from then on. An image for another board can
        make it unusable.
      </p>
      <TextField label="Model" name="device_model" value={model} onChange={setModel} hint={`Default: ${assumed}.`} />
      <ChangeReach change={{ device_ids: [id], accept_identity: true, device_model: stated }} />
    </ReasonDialog>
  );
}

/** Sends one release to one device. */
export function SendDialog({ device, onClose }: DialogProps) {
  const { device_id: id, device_model: model, current_firmware_version: current } = device;
  const [, navigate] = useLocation();
  const releases = useQuery({ queryKey: ['releases', model], queryFn: () => api.releases({ model, limit: 200 }) });
  const [chosen, choose] = useState('');
  const [downgrade, allowDowngrade] = useState(false);
  const usable = releases.data?.items.filter(({ revoked_at: revoked }) => revoked === null) ?? [];
  const draft = draftForDevice(device, chosen, downgrade);
  const preview = useQuery({
    queryKey: ['device-draft', draft],
    queryFn: () => api.previewRollout(draft),
    enabled: chosen !== '',
    refetchInterval: false,
  });
  const send = async () => {
    const rollout = await api.updateDevice(id, { firmware_version: chosen, allow_downgrade: downgrade });
    navigate(`/rollouts/${rollout.rollout_id}`);
  };
  return (
    <ActionDialog title={`Send one release to ${id}`} button="Send" ready={chosen !== ''} act={send} onClose={onClose}>
      <p>It runs {current}. This makes a rollout for it alone, which goes before every other.</p>
      {device.model_is_assumed && <p>Its model was never stated: the images are for the assumed model, {model}.</p>}
      {device.holds.map(({ hold_id: hold, text }) => (
        <p key={hold}>It is sent nothing before this ends: {text}.</p>
      ))}
      <SelectField
        label="Release"
        name="firmware_version"
        value={chosen}
        onChange={choose}
        options={[['', `choose one for ${model}`], ...usable.map(({ version }) => [version, version] as const)]}
      />
      <CheckField label="Allow a downgrade" checked={downgrade} onChange={allowDowngrade} />
      {preview.data?.will_not.map(({ reason }) => (
        <p key={reason} role="alert">
          It would be refused: {reason}.
        </p>
      ))}
    </ActionDialog>
  );
}
