import { describe, expect, test } from 'vitest';
import { resources, synthesize } from '../../support/lib/templates.ts';

const { serviceTemplate } = synthesize();

describe('queues', () => {
  test('and their mappings keep their logical ids: a queue holds messages, and Lambda allows one mapping per queue', () => {
    const ids = ['AWS::SQS::Queue', 'AWS::Lambda::EventSourceMapping'].flatMap((type) =>
      resources(serviceTemplate, type).map(([id]) => id),
    );
    expect(ids.sort()).toEqual([
      'DispatchQueueB9C43499',
      'DispatchQueueDeadLettersD837BDA3',
      'DispatchQueueQueueMappingD48AFC86',
      'IngestOtaQueueDeadLetters6065B797',
      'IngestOtaQueueF5F03364',
      'IngestOtaQueueQueueMappingD48CA867',
      'IngestOtaQueueUndelivered72F5EAB5',
      'IngestOtaQueueUndeliveredMappingD255EBCB',
      'IngestStatusQueue67AD3DA9',
      'IngestStatusQueueDeadLetters816205F4',
      'IngestStatusQueueQueueMapping3F569551',
      'IngestStatusQueueUndeliveredC9ACD144',
      'IngestStatusQueueUndeliveredMappingE2BD9EC5',
      'RegisterReleaseQueue5184F20C',
      'RegisterReleaseQueueDeadLetters3D0F4BD4',
      'RegisterReleaseQueueQueueMapping8B9043E8',
    ]);
  });

  test('each have a dead-letter queue, and a visibility timeout of six times the timeout of their function', () => {
    const queues = resources(serviceTemplate, 'AWS::SQS::Queue').filter(([id]) => !id.includes('DeadLetters'));
    expect(queues).toHaveLength(6);
    for (const [, { Properties }] of queues) {
      expect(Properties).toMatchObject({ MessageRetentionPeriod: 1_209_600, RedrivePolicy: { maxReceiveCount: 50 } });
      expect(Properties.VisibilityTimeout).toBeGreaterThanOrEqual(6 * 60);
    }
  });
});
