import { makeProgram } from './program.ts';
import { describeFailure, exitCodeOf } from './session/index.ts';

// The SDK's notice about future Node versions is for maintainers, not for operators.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

try {
  await makeProgram().parseAsync();
} catch (error) {
  const [first = '', ...more] = describeFailure(error);
  console.error([`paku-ota: ${first}`, ...more.map((line) => `  ${line}`)].join('\n'));
  process.exitCode = exitCodeOf(error);
}
