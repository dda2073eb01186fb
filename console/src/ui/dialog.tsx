import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { refresh } from '../data/client.ts';
import { CheckField, FormErrors, fieldErrorsOf, TextField } from './form.tsx';
import { Failure } from './loaded.tsx';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** A modal dialog: the browser keeps the focus inside, closes it with Escape and restores the focus. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** The result of an action that asks once more before it is done. */
export const STAYS_OPEN = Symbol('stays open');

interface ActionDialogProps {
  readonly title: string;
  /** Says what will happen. */
  readonly children?: ReactNode;
  readonly button: string;
  readonly danger?: boolean;
  /** Label of a box to tick before an action that cannot be undone. */
  readonly confirmation?: string;
  readonly ready?: boolean;
  readonly act: () => Promise<unknown>;
  readonly onClose: () => void;
}

/**
 * Asks before an action, shows why the service refuses it, and closes when it is done. An action whose result is
 * {@link STAYS_OPEN} waits for another confirmation.
 */
export function ActionDialog({ title, children, button, act, onClose, ...rest }: ActionDialogProps) {
  const { danger = false, confirmation, ready = true } = rest;
  const [confirmed, setConfirmed] = useState(confirmation === undefined);
  const { mutate, isPending, error } = useMutation({
    mutationFn: act,
    onSuccess: (result) => {
      if (result === STAYS_OPEN) return;
      void refresh();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    mutate();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        <FormErrors value={fieldErrorsOf(error)}>{children}</FormErrors>
        {confirmation && <CheckField label={confirmation} checked={confirmed} onChange={setConfirmed} />}
        {error && <Failure error={error} />}
        <div className="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className={danger ? 'danger' : 'primary'} disabled={isPending || !confirmed || !ready}>
            {isPending ? 'Working …' : button}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface ReasonDialogProps extends Omit<ActionDialogProps, 'act' | 'ready'> {
  readonly act: (reason: string) => Promise<unknown>;
}

/** Asks for the reason of an action, which the history keeps. */
export function ReasonDialog({ children, act, ...rest }: ReasonDialogProps) {
  const [reason, setReason] = useState('');
  return (
    <ActionDialog {...rest} ready={reason.trim() !== ''} act={() => act(reason.trim())}>
      {children}
      <TextField
        label="Reason"
        name="reason"
        value={reason}
        onChange={setReason}
        hint="Kept in the history with your identity."
      />
    </ActionDialog>
  );
}
