import { useQuery } from '@tanstack/react-query';
import { type FC, useState } from 'react';
import { Link } from 'wouter';
import type { AttentionKind, Fleet } from '../../../api/service.ts';
import { api } from '../data/client.ts';
import { sentence } from '../text/format.ts';
import { ActionDialog, Dialog } from '../ui/dialog.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';
import { RejectedMessages } from './rejected-messages.tsx';

type Concern = Fleet['attention'][number];

const URGENT: readonly AttentionKind[] = ['service_held', 'rollout_halted', 'unverified_bytes'];

interface DialogProps {
  readonly onClose: () => void;
}

/** The dialogs of what has no page of its own, and what their buttons open. */
const DIALOGS: Readonly<Partial<Record<AttentionKind, { readonly of: string; readonly Show: FC<DialogProps> }>>> = {
  dead_letters: { of: 'the queues', Show: DeadLetters },
  rejected_messages: { of: 'them', Show: RejectedMessages },
};

export function Attention({ of }: { readonly of: readonly Concern[] }) {
  return (
    <Panel title="Needs attention" className="attention">
      {of.length === 0 ? (
        <p className="calm">Nothing. No rollout is halted, and nothing was rejected in the last day.</p>
      ) : (
        <ul>
          {of.map((concern) => (
            <li key={concern.message} className={URGENT.includes(concern.kind) ? 'bad' : 'warn'}>
              <p className="kind">{sentence(concern.kind)}</p>
              <p>{concern.message}</p>
              <Remedy concern={concern} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** The kind of page that a link leads to, such as `rollout`. */
const pageOf = (link: string) =>
  link.startsWith('/rollouts/')
    ? 'rollout'
    : link.startsWith('/devices/')
      ? 'device'
      : link === '/holds'
        ? 'holds'
        : 'details';

function Remedy({ concern: { kind, link } }: { readonly concern: Concern }) {
  const [isOpen, setOpen] = useState(false);
  const close = () => setOpen(false);
  if (link !== null) return <Link href={link}>View {pageOf(link)}</Link>;
  const dialog = DIALOGS[kind];
  if (dialog === undefined) return null;
  return (
    <>
      <button type="button" className="link" onClick={() => setOpen(true)}>
        View {dialog.of}
      </button>
      {isOpen && <dialog.Show onClose={close} />}
    </>
  );
}

function DeadLetters({ onClose }: DialogProps) {
  const queues = useQuery({ queryKey: ['dead-letters'], queryFn: api.deadLetters });
  const [redriven, redrive] = useState<string>();
  if (redriven !== undefined) {
    return (
      <ActionDialog
        title={`Redrive the messages of the ${redriven} queue?`}
        button="Redrive"
        act={() => api.redriveDeadLetters(redriven)}
        onClose={onClose}
      >
        <p>
          The function failed to process them. Redrive them after the cause is fixed. A message that was recorded
          already is not recorded twice.
        </p>
      </ActionDialog>
    );
  }
  return (
    <Dialog title="Dead letters" onClose={onClose}>
      <Loaded of={queues}>
        {({ items }) => (
          <ul className="queues">
            {items.map(({ queue, messages }) => (
              <li key={queue}>
                <span>
                  {queue}: about {messages}
                </span>
                {messages > 0 && (
                  <button type="button" onClick={() => redrive(queue)}>
                    Redrive …
                  </button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <div className="actions">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
