#!/usr/bin/env node
import { runProgram } from './bundle.mjs';

await runProgram();
