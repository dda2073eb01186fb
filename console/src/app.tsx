import { Link, Route, Switch } from 'wouter';
import { useSessionEnd } from './api/session.ts';
import { DevicePage } from './devices/device.tsx';
import { DevicesPage } from './devices/devices.tsx';
import { OverviewPage } from './overview/overview.tsx';
import { ReleasePage } from './releases/release.tsx';
import { ReleasesPage } from './releases/releases.tsx';
import { NewRolloutPage } from './rollouts/new-rollout.tsx';
import { RolloutPage } from './rollouts/rollout.tsx';
import { RolloutsPage } from './rollouts/rollouts.tsx';
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
