import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { readSettings } from '../lib/settings/index.ts';
import { DataStack, ServiceStack } from '../lib/stacks/index.ts';

const app = new App();
const settings = readSettings(app.node);
const data = new DataStack(app, 'PakuOtaData', { settings });
new ServiceStack(app, 'PakuOta', { settings, data });
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
