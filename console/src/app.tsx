import { Link, Route, Switch } from 'wouter';
import { useSessionEnd } from './data/session.ts';
import { DevicePage, DevicesPage } from './devices/index.ts';
import { HoldsPage } from './holds/index.ts';
import { OverviewPage } from './overview/index.ts';
import { ReleasePage, ReleasesPage } from './releases/index.ts';
import { NewRolloutPage, ReportPage, RolloutPage, RolloutsPage } from './rollouts/index.ts';
import { Page } from './ui/page.tsx';
import { SessionEnd } from './ui/session-end.tsx';
import { Shell } from './ui/shell.tsx';

export function App() {
  if (useSessionEnd()) return <SessionEnd />;
  return (
    <Shell>
      <Switch>
        <Route path="/">
          <OverviewPage />
        </Route>
        <Route path="/devices">
          <DevicesPage />
        </Route>
        <Route path="/devices/:id">{({ id }) => <DevicePage key={id} id={id} />}</Route>
        <Route path="/releases">
          <ReleasesPage />
        </Route>
        <Route path="/releases/:model/:version">
          {({ model, version }) => <ReleasePage key={`${model} ${version}`} model={model} version={version} />}
        </Route>
        <Route path="/rollouts">
          <RolloutsPage />
        </Route>
        <Route path="/rollouts/new">
          <NewRolloutPage />
        </Route>
        <Route path="/holds">
          <HoldsPage />
        </Route>
        <Route path="/rollouts/:id/report">{({ id }) => <ReportPage key={id} id={id} />}</Route>
        <Route path="/rollouts/:id">{({ id }) => <RolloutPage key={id} id={id} />}</Route>
        <Route>
          <Page title="No such page">
            <p>
              There is nothing at this address. <Link href="/">Go to the overview.</Link>
            </p>
          </Page>
        </Route>
      </Switch>
    </Shell>
  );
}
