import { makeProgram } from './program.ts';
import { describeFailure, exitCodeOf } from './session/index.ts';

// The SDK's notice about future Node versions is for maintainers, not for operators.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

// The reader of a pipe has read enough, as in `paku-ota rollout list | head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

try {
  await makeProgram().parseAsync();
} catch (error) {
  const [first = '', ...more] = describeFailure(error);
  console.error([`paku-ota: ${first}`, ...more.map((line) => `  ${line}`)].join('\n'));
  process.exitCode = exitCodeOf(error);
}
