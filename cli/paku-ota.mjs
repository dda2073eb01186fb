#!/usr/bin/env node
import { bundledProgram } from './bundle.mjs';

await import(await bundledProgram());
