import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { DataStack } from '../lib/data-stack.ts';
import { ServiceStack } from '../lib/service-stack.ts';
import { readSettings } from '../lib/settings.ts';

const app = new App();
const settings = readSettings(app.node);
const data = new DataStack(app, 'PakuOtaData', { settings });
new ServiceStack(app, 'PakuOta', { settings, data });
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
