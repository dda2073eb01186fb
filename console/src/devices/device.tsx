import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import type { DeviceDetail } from '../../../api/devices.ts';
import { describeFact } from '../../../api/fact-text.ts';
import { api } from '../data/client.ts';
import { dateTime, duration } from '../text/format.ts';
import { Ago, Facts, Pill, UpdatePill } from '../ui/components.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import {
  AcceptDialog,
  AttributesDialog,
  GroupsDialog,
  HoldDeviceDialog,
  ReinstateDialog,
  RevokeDialog,
  SendDialog,
  StateModelDialog,
} from './device-dialogs.tsx';
import { Explain } from './explain.tsx';
import { Timeline } from './timeline.tsx';

const PARENT = { name: 'Devices', href: '/devices' };

export function DevicePage({ id }: { readonly id: string }) {
  const device = useQuery({ queryKey: ['device', id], queryFn: () => api.device(id) });
  return (
    <Page
      title={id}
      parent={PARENT}
      aside={
        device.data && (
          <>
            <Pill tone={device.data.online ? 'ok' : 'idle'}>{device.data.presence.state.replace('_', ' ')}</Pill>{' '}
            {device.data.revoked_at !== null && <Pill tone="bad">revoked</Pill>}
            {device.data.holds.length > 0 && <Pill tone="warn">held</Pill>}
            {device.data.identity_changed_at !== null && <Pill tone="warn">identity changed</Pill>}
            {device.data.model_is_assumed && <Pill tone="warn">model assumed</Pill>}
          </>
        )
      }
      actions={device.data && <Actions device={device.data} />}
    >
      <Loaded of={device} lines={10}>
        {(data) => (
          <div className="two-columns">
            <div>
              <Explain device={data} />
              <Timeline device={data} />
            </div>
            <DeviceFacts device={data} />
          </div>
        )}
      </Loaded>
    </Page>
  );
}

const ACTIONS = {
  groups: { name: 'Change groups', Dialog: GroupsDialog },
  attributes: { name: 'Change attributes', Dialog: AttributesDialog },
  send: { name: 'Send a release', Dialog: SendDialog },
  hold: { name: 'Hold', Dialog: HoldDeviceDialog },
  accept: { name: 'Accept identity', Dialog: AcceptDialog },
  state: { name: 'State model', Dialog: StateModelDialog },
  revoke: { name: 'Revoke', Dialog: RevokeDialog },
  // A device is revoked even if AWS failed to revoke a certificate: the second time completes it.
  again: { name: 'Revoke again', Dialog: RevokeDialog },
  reinstate: { name: 'Reinstate', Dialog: ReinstateDialog },
} as const;
type Action = keyof typeof ACTIONS;

function actionsOf(device: DeviceDetail): readonly Action[] {
  const { revoked_at: revoked, identity_changed_at: changed, model_is_assumed: isAssumed } = device;
  if (revoked !== null) return ['groups', 'attributes', 'again', 'reinstate'];
  const state: readonly Action[] = isAssumed && changed === null ? ['state'] : [];
  return ['groups', 'attributes', ...state, changed === null ? 'send' : 'accept', 'hold', 'revoke'];
}

function Actions({ device }: { readonly device: DeviceDetail }) {
  const [open, setOpen] = useState<Action>();
  const Dialog = open && ACTIONS[open].Dialog;
  return (
    <>
      {actionsOf(device).map((action) => (
        <button
          key={action}
          type="button"
          className={action === 'revoke' ? 'danger quiet' : ''}
          onClick={() => setOpen(action)}
        >
          {ACTIONS[action].name} …
        </button>
      ))}
      {Dialog && <Dialog device={device} onClose={() => setOpen(undefined)} />}
    </>
  );
}

function DeviceFacts({ device }: { readonly device: DeviceDetail }) {
  const { update, signal_strength_dbm: signal, uptime_seconds: uptime } = device;
  const attributes = Object.entries(device.metadata).map(([name, value]) => `${name} = ${value}`);
  return (
    <Panel title="Details" className="facts-panel">
      <Facts
        of={[
          ...revocationOf(device),
          ...device.holds.map(({ hold_id: id, text }) => ({ name: 'Held', value: `${text}; hold ${id}` })),
          { name: 'Version', value: device.current_firmware_version },
          { name: 'Model', value: modelText(device) },
          ...changeOf(device),
          { name: 'Last update', value: update ? <NewestUpdate update={update} /> : 'none' },
          { name: 'Last seen', value: <Ago at={device.last_seen} /> },
          { name: 'Presence', value: device.presence.text },
          { name: 'AWS IoT says', value: device.connection?.text ?? '–' },
          ...(device.refusals === null ? [] : [{ name: 'Refused', value: device.refusals.text }]),
          { name: 'Uptime', value: uptime === null ? '–' : duration(uptime) },
          { name: 'Signal', value: signal === null ? '–' : `${signal} dBm` },
          { name: 'MAC address', value: macText(device) },
          { name: 'MQTT client', value: device.client_id ?? '–' },
          {
            name: 'Topic family',
            value: device.command_family === null ? 'not known yet' : `${device.command_family}/…`,
          },
          { name: 'Groups', value: device.groups.join(', ') || 'none' },
          { name: 'Attributes', value: attributes.join(', ') || 'none' },
          { name: 'Registered', value: <Ago at={device.registered_at} /> },
          ...faultsOf(device),
        ]}
      />
      <StatedFacts device={device} />
      <details>
        <summary>Last status (raw)</summary>
        <pre>{JSON.stringify(device.last_status, null, 2)}</pre>
      </details>
    </Panel>
  );
}

/** What the device states about itself, with the age of each statement. */
function StatedFacts({ device }: { readonly device: DeviceDetail }) {
  const facts = Object.entries(device.facts);
  if (facts.length === 0) return null;
  return (
    <>
      <h3>Facts</h3>
      <Facts
        of={facts.map(([name, { value, stated_at: at }]) => ({
          name,
          value: (
            <>
              {describeFact(name, value)}{' '}
              <span className="muted">
                <Ago at={at} />
              </span>
            </>
          ),
        }))}
      />
    </>
  );
}

function modelText({ device_model: model, model_is_assumed: isAssumed }: DeviceDetail): string {
  return isAssumed ? `${model} (assumed; only rollouts that name the device by its id update it)` : model;
}

function macText({ mac_address: mac, mac_shared_with: others }: DeviceDetail): string {
  return others.length === 0 ? (mac ?? '–') : `${mac}, also of ${others.join(', ')}`;
}

/** What the device sent and could not be read. */
function faultsOf({ status_fault: fault, rejected_message: message }: DeviceDetail) {
  return [
    ...(fault === null ? [] : [{ name: 'Unreadable in last status', value: fault }]),
    ...(message === null ? [] : [{ name: 'Last rejected message', value: <Rejected message={message} /> }]),
  ];
}

function Rejected({ message }: { readonly message: NonNullable<DeviceDetail['rejected_message']> }) {
  return (
    <>
      <Ago at={message.received_at} /> on <code>{message.topic}</code>: {message.reason}
      <br />
      <code>{message.beginning}</code>
    </>
  );
}

function changeOf({ identity_changed_at: at, identity_change: change }: DeviceDetail) {
  return at === null ? [] : [{ name: 'Identity', value: `${change} since ${dateTime(at)}; no rollout updates it` }];
}

function revocationOf({ revoked_at: at, revoked_by: by, revoked_reason: reason }: DeviceDetail) {
  return at === null ? [] : [{ name: 'Revoked', value: `${dateTime(at)} by ${by ?? 'SQL'}: ${reason ?? 'no reason'}` }];
}

/** When an update that is not proven ends. */
function UpdateDeadline({ of }: { readonly of: NonNullable<DeviceDetail['update']> }) {
  const { status, is_open: isOpen, booted_at: bootedAt, deadline_at: deadline } = of;
  if (status !== 'success' || !isOpen || deadline === null) return null;
  return (
    <>
      {bootedAt === null ? 'fails unless it reports the version' : 'final'} <Ago at={deadline} />
      <br />
    </>
  );
}

function NewestUpdate({ update }: { readonly update: NonNullable<DeviceDetail['update']> }) {
  const { rollout_name: rollout } = update;
  return (
    <>
      <UpdatePill update={update} /> {update.firmware_version}
      <br />
      <UpdateDeadline of={update} />
      {rollout === null ? (
        'begun by the device itself'
      ) : (
        <Link href={`/rollouts/${encodeURIComponent(rollout)}`}>{rollout}</Link>
      )}
    </>
  );
}
