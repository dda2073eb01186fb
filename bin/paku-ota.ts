import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { readSettings } from '../lib/settings/index.ts';
import { deployment } from '../lib/stacks/index.ts';

const app = new App();
deployment(app, readSettings(app.node));
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
