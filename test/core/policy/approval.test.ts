import { describe, expect, test } from 'vitest';
import { describeSamePerson, listLooserLimits } from '../../../core/policy/index.ts';

const ACCOUNT = '111122223333';
const user = (name: string, account = ACCOUNT) => `arn:aws:iam::${account}:user/${name}`;
const session = (role: string, name: string, account = ACCOUNT) =>
  `arn:aws:sts::${account}:assumed-role/${role}/${name}`;
const SSO = 'AWSReservedSSO_Operator_0123456789abcdef';
const SSO_APPROVER = 'AWSReservedSSO_Approver_0123456789abcdef';

describe('an approval by another person', () => {
  test.each([
    ['two users', user('ada'), user('grace')],
    ['two users below paths', user('team/ada'), user('team/grace')],
    ['a user and a session', user('ada'), session('Approver', 'grace')],
    ['sessions of two roles', session('Operator', 'ada'), session('Approver', 'grace')],
    ['two users of Identity Center in one role', session(SSO, 'ada@example.com'), session(SSO, 'grace@example.com')],
    ['a role of one name in two accounts', session('Operator', 'ada'), session('Operator', 'grace', '444455556666')],
    [
      'roles of another partition',
      `arn:aws-cn:sts::${ACCOUNT}:assumed-role/Operator/ada`,
      `arn:aws-cn:iam::${ACCOUNT}:user/grace`,
    ],
  ])('is accepted from %s', (_, first, second) => {
    expect(describeSamePerson(first, second)).toBeUndefined();
    expect(describeSamePerson(second, first)).toBeUndefined();
  });

  test.each([
    ['the same user', user('ada'), user('ada'), 'you requested it'],
    ['the same session', session('Operator', 'ada'), session('Operator', 'ada'), 'you requested it'],
    ['another session of the same role', session('Operator', 'ada'), session('Operator', 'grace'), 'by another role'],
    [
      'the same name under another role',
      session(SSO, 'ada@example.com'),
      session(SSO_APPROVER, 'ada@example.com'),
      'whose name is yours',
    ],
    [
      'the same name in other letters',
      session(SSO, 'Ada@example.com'),
      session(SSO_APPROVER, 'ada@example.com'),
      'whose name is yours',
    ],
    ['a user and a session of its name', user('ada'), session('Approver', 'ada'), 'whose name is yours'],
    ['a user of the same name in another account', user('ada'), user('ada', '444455556666'), 'whose name is yours'],
    ['the account itself', user('ada'), `arn:aws:iam::${ACCOUNT}:root`, 'cannot be told from another person'],
    [
      'a federated user, whose name a user chooses',
      user('ada'),
      `arn:aws:sts::${ACCOUNT}:federated-user/grace`,
      'cannot be told from another person',
    ],
    [
      'a role whose name only begins as one of Identity Center',
      session('AWSReservedSSO_Operator', 'ada'),
      session('AWSReservedSSO_Operator', 'grace'),
      'by another role',
    ],
    [
      'the role in other letters',
      session('Operator', 'ada'),
      session('operator', 'grace'),
      'chooses the name of the session',
    ],
    ['an unknown form', user('ada'), 'AIDAEXAMPLE', 'cannot be told from another person'],
    ['an empty name', user('ada'), session('Approver', ''), 'cannot be told from another person'],
    ['a session with a further segment', user('ada'), `${session('Approver', 'grace')}/x`, 'cannot be told'],
  ])('is refused from %s', (_, first, second, why) => {
    expect(describeSamePerson(first, second)).toContain(why);
    expect(describeSamePerson(second, first)).toContain(why);
  });
});

describe('limits of a running rollout', () => {
  const before = {
    failure_threshold: 0.1,
    failure_count: 5,
    max_restart_ratio: 2,
    min_reports: 5,
    max_in_flight: 10,
    max_in_flight_per: { attribute: 'site', max: 2 },
    max_per_minute: null,
    send_window: { from: '22:00', to: '06:00' },
    keep_open: false,
  };

  test.each([
    [{ failure_threshold: 0.2 }, ['failure_threshold']],
    [{ failure_count: null, max_in_flight: 11 }, ['failure_count', 'max_in_flight']],
    [{ max_restart_ratio: null, min_reports: 6 }, ['max_restart_ratio', 'min_reports']],
    [{ min_reports: 4 }, ['min_reports']],
    [{ max_in_flight_per: null }, ['max_in_flight_per']],
    [{ max_in_flight_per: { attribute: 'site', max: 3 } }, ['max_in_flight_per']],
    [{ max_in_flight_per: { attribute: 'room', max: 1 } }, ['max_in_flight_per']],
    [{ send_window: null, keep_open: true }, ['send_window', 'keep_open']],
    [{ send_window: { from: '22:00', to: '07:00' } }, ['send_window']],
  ])('are looser after %j', (changes, looser) => {
    expect(listLooserLimits(before, changes)).toEqual(looser);
  });

  test.each([
    [{}],
    [{ ...before }],
    [{ failure_threshold: 0, failure_count: 1, max_restart_ratio: 1, min_reports: 5 }],
    [{ max_in_flight: 1, max_in_flight_per: { attribute: 'site', max: 1 }, max_per_minute: 1 }],
    [{ max_in_flight: undefined, max_in_flight_per: undefined, send_window: undefined }],
  ])('are not looser after %j', (changes) => {
    expect(listLooserLimits(before, changes)).toEqual([]);
  });
});
