import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { api, messageOf, refresh } from '../data/client.ts';
import { counted } from '../text/format.ts';
import { useDebounced } from '../ui/debounced.ts';
import { ActionDialog } from '../ui/dialog.tsx';
import { FormErrors, fieldErrorsOf } from '../ui/form.tsx';
import { Failure } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';
import { type DraftForm, EMPTY_FORM, toDraft } from './draft.ts';
import { ReleaseFields, TargetFields } from './draft-fields.tsx';
import { PreviewResult } from './preview.tsx';
import { StrategyFields } from './strategy-fields.tsx';

const PARENT = { name: 'Rollouts', href: '/rollouts' };

/** The preview of the form; `isCurrent` is false while it is out of date. */
function usePreview(form: DraftForm) {
  const text = JSON.stringify(toDraft(form));
  const rested = useDebounced(text);
  const isReady = form.model !== '' && form.version !== '';
  const preview = useQuery({
    queryKey: ['preview', rested],
    queryFn: () => api.previewRollout(JSON.parse(rested)),
    enabled: isReady && rested === text,
    placeholderData: (previous) => previous,
    // A refused draft is not previewed again until the form changes.
    refetchInterval: ({ state }) => (state.error === null ? 10_000 : false),
  });
  const isCurrent = isReady && rested === text && !preview.isPlaceholderData && preview.error === null;
  return { isReady, data: preview.data, error: preview.error, isCurrent: isCurrent && preview.data !== undefined };
}

export function NewRolloutPage() {
  const [params] = useSearchParams();
  const [, navigate] = useLocation();
  const [form, setForm] = useState<DraftForm>({
    ...EMPTY_FORM,
    model: params.get('model') ?? '',
    version: params.get('version') ?? '',
  });
  const preview = usePreview(form);
  const [isConfirming, setConfirming] = useState(false);
  const make = async (isActive: boolean) => {
    // The stepping stones that were shown, so that no upload in the meantime changes them.
    const stepping_stones = preview.data?.stepping_stones.map(({ version }) => version);
    const rollout = await api.createRollout({ ...toDraft(form), is_active: isActive, stepping_stones });
    void refresh();
    navigate(`/rollouts/${rollout.rollout_id}`);
  };
  const create = useMutation({ mutationFn: make });
  const begin = preview.data && countStarting(preview.data);
  const mustWait = preview.data?.warnings.some(({ code }) => code === 'NEEDS_APPROVAL') ?? false;
  const change = (part: Partial<DraftForm>) => {
    create.reset();
    setForm((before) => ({ ...before, ...part }));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (begin === 0) setConfirming(true);
    else create.mutate(true);
  };
  const error = create.error ?? preview.error;
  return (
    <Page title="New rollout" parent={PARENT}>
      <form className="two-columns new-rollout" onSubmit={submit}>
        <FormErrors value={fieldErrorsOf(error)}>
          <div className="panel draft">
            <ReleaseFields form={form} change={change} />
            <TargetFields form={form} change={change} />
            <StrategyFields form={form} change={change} />
          </div>
        </FormErrors>
        <Panel title="Preview" className="preview">
          <div role="status" className={preview.isReady && !preview.isCurrent ? 'stale' : ''}>
            {!preview.isReady && <p className="calm">Choose a release to see which devices would get it.</p>}
            {preview.isReady && preview.error && <p className="bad-text">{messageOf(preview.error)}</p>}
            {preview.isReady && !preview.error && preview.data && (
              <PreviewResult
                preview={preview.data}
                percentage={Number(form.percentage)}
                noneText={noDeviceText(form)}
              />
            )}
          </div>
          {create.error && <Failure error={create.error} />}
          <p className="hint">Nothing is sent before you start it.</p>
          <div className="actions">
            <button
              type="button"
              disabled={!preview.isCurrent || create.isPending}
              onClick={() => create.mutate(false)}
            >
              Save as draft
            </button>
            <button
              type="submit"
              className={begin === 0 ? '' : 'primary'}
              disabled={!preview.isCurrent || create.isPending}
            >
              {preview.isCurrent && begin !== undefined ? startText(begin, mustWait) : 'Start'}
            </button>
          </div>
        </Panel>
      </form>
      {isConfirming && (
        <ActionDialog
          title="Start without devices?"
          button={mustWait ? 'Request the start' : 'Start it'}
          act={() => make(true)}
          onClose={() => setConfirming(false)}
        >
          <p>
            As things are no device would be updated: the preview says why.{' '}
            {form.keepOpen ? 'Devices that join later are.' : 'A draft can wait until some would be.'}
          </p>
        </ActionDialog>
      )}
    </Page>
  );
}

function startText(devices: number, mustWait: boolean): string {
  if (devices === 0) return mustWait ? 'Request the start anyway …' : 'Start anyway …';
  return `${mustWait ? 'Request the start' : 'Start'} for ${counted(devices, 'device')}`;
}

/** The most devices that can start: the percentage is applied when the rollout starts. */
const countStarting = (preview: { readonly will_be_updated: number; readonly targeted: number }) =>
  Math.min(preview.will_be_updated, preview.targeted);

/** Says that no device matches the target of the form. */
function noDeviceText({ model, target, groups, versions, attributes, facts, except }: DraftForm): string {
  const within =
    target === 'group' ? ` is in ${groups.length > 1 ? 'one of the groups' : 'the group'} ${groups.join(', ')}` : '';
  const typed = [attributes, facts, ...Object.values(except)].some((text) => text.trim() !== '');
  const narrowed = versions.length > 0 || typed || target === 'specific';
  const among = narrowed ? `${within === '' ? '' : ' and'} matches what is chosen here` : '';
  return `No device of model ${model}${within}${among || (within === '' ? ' is registered' : '')}.`;
}
