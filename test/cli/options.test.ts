import type { Command } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { makeProgram } from '../../cli/program.ts';

/** Parses a line with the real commands, whose actions only record what they get. */
async function parse(...args: string[]): Promise<{ path: string; options: Record<string, unknown> }> {
  const program = makeProgram();
  let parsed: { path: string; options: Record<string, unknown> } | undefined;
  const record = (command: Command, path: string): void => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    for (const child of command.commands) record(child, `${path} ${child.name()}`.trim());
    if (command.commands.length === 0) {
      command.action(() => {
        parsed = { path, options: command.opts() };
      });
    }
  };
  record(program, '');
  await program.parseAsync(args, { from: 'user' });
  if (parsed === undefined) throw new Error('no command was called');
  return parsed;
}

afterEach(() => vi.unstubAllEnvs());

describe('the options that select the system', () => {
  test.each([
    ['--aws', '--region', 'eu-west-1', 'release', 'show', 'van', '1.0.0'],
    ['release', '--aws', '--region=eu-west-1', 'show', 'van', '1.0.0'],
    ['release', 'show', 'van', '1.0.0', '--aws', '--region', 'eu-west-1'],
    ['--aws', 'release', 'show', '--region', 'eu-west-1', 'van', '1.0.0'],
    ['--aws', '--region', 'us-east-1', 'release', 'show', 'van', '1.0.0', '--region', 'eu-west-1'],
  ])('may stand anywhere: %s %s %s %s %s %s', async (...args) => {
    expect(await parse(...args)).toEqual({ path: 'release show', options: { aws: true, region: 'eu-west-1' } });
  });

  test('may stand before doctor', async () => {
    expect(await parse('--aws', 'doctor')).toEqual({ path: 'doctor', options: { aws: true } });
  });

  test('are refused before a command that has no system', async () => {
    await expect(parse('--aws', 'cost')).rejects.toThrow('--aws does not go with cost');
    await expect(parse('--profile', 'vans', 'release', 'sign', 'a', '--model', 'm', '--key', 'k')).rejects.toThrow(
      '--profile does not go with release sign',
    );
    expect(await parse('--json', 'cost')).toMatchObject({ path: 'cost', options: { json: true } });
  });
});

describe('--version', () => {
  test('of a command is never that of the program', async () => {
    const line = ['release', 'add', 'build/firmware.bin', '--model', 'esp32-s3', '--version', '1.2.0'];
    expect(await parse('--aws', ...line)).toEqual({
      path: 'release add',
      options: expect.objectContaining({ aws: true, model: 'esp32-s3', version: '1.2.0' }),
    });
    await expect(parse('--awz', ...line)).rejects.toThrow("unknown option '--awz'");
  });

  test('of the program is printed, also after an option', async () => {
    await expect(parse('--version')).rejects.toMatchObject({ code: 'commander.version' });
    await expect(parse('--aws', '--version')).rejects.toMatchObject({ code: 'commander.version' });
  });
});
