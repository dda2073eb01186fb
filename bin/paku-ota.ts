import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { checkRegion, readSettings } from '../lib/settings/index.ts';
import { deployment } from '../lib/stacks/index.ts';

const app = new App();
checkRegion(process.env.CDK_DEFAULT_REGION);
deployment(app, readSettings(app.node));
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
