import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import {
  type ReportTable,
  type RolloutReport,
  readReport,
  reportMarkdown,
  reportText,
} from '../../../api/rollout-report.ts';
import { api } from '../data/client.ts';
import { count } from '../text/format.ts';
import { RolloutPill } from '../ui/components.tsx';
import { ListTable } from '../ui/list-table.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Page, Panel } from '../ui/page.tsx';

/** All that is known of a rollout, for the record. It is read once: a report is of one time. */
export function ReportPage({ id }: { readonly id: string }) {
  const report = useQuery({
    queryKey: ['report', id],
    queryFn: () => readReport(api, id, new Date()),
    refetchInterval: false,
  });
  const { data } = report;
  return (
    <Page
      title="Report"
      parent={{ name: data?.rollout.name ?? `Rollout ${id}`, href: `/rollouts/${id}` }}
      aside={data && <RolloutPill state={data.rollout.state} />}
      actions={data && <Exports of={data} />}
    >
      <Loaded of={report} lines={12}>
        {(shown) => <Body of={shown} />}
      </Loaded>
    </Page>
  );
}

function Body({ of }: { readonly of: RolloutReport }) {
  const { sentences, tables } = reportText(of);
  return (
    <>
      {sentences.map((sentence) => (
        <p className="summary" key={sentence}>
          {sentence}
        </p>
      ))}
      {tables.map((table) => (
        <Panel title={table.title} key={table.title}>
          <Table of={table} />
        </Panel>
      ))}
    </>
  );
}

function Table({ of: { title, head, rows, none } }: { readonly of: ReportTable }) {
  if (rows.length === 0) return <p className="calm">{none}</p>;
  const columns = head.map((name, index) => ({
    name,
    kind: typeof rows[0]?.[index] === 'number' ? ('number' as const) : ('wide' as const),
    cell: (row: readonly (string | number)[]) => {
      const cell = row[index];
      return typeof cell === 'number' && Number.isInteger(cell) ? count(cell) : cell;
    },
  }));
  return <ListTable label={title} columns={columns} rows={rows} keyOf={(row) => rows.indexOf(row)} />;
}

function Exports({ of }: { readonly of: RolloutReport }) {
  const [isCopied, setCopied] = useState(false);
  const markdown = () => reportMarkdown(reportText(of));
  const name = `rollout-${of.rollout.rollout_id}`;
  return (
    <>
      <button
        type="button"
        onClick={() => navigator.clipboard.writeText(markdown()).then(() => setCopied(true))}
        aria-live="polite"
      >
        {isCopied ? 'Copied' : 'Copy Markdown'}
      </button>
      <button type="button" onClick={() => save(`${name}.md`, 'text/markdown', markdown())}>
        Save Markdown
      </button>
      <button type="button" onClick={() => save(`${name}.json`, 'application/json', JSON.stringify(of, null, 2))}>
        Save JSON
      </button>
    </>
  );
}

function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
