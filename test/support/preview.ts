import { asNewRollout, type PreviewedRollout } from '../../core/explain/index.ts';

/** A draft for all devices of the model, with these values. */
export const newRollout = (values: Partial<PreviewedRollout> = {}): PreviewedRollout =>
  asNewRollout({
    firmware_version: '2.0.0',
    device_model: 'esp32-s3',
    target_type: 'all',
    target_filter: {},
    rollout_percentage: 100,
    allow_downgrade: false,
    include_unknown: false,
    priority: 0,
    stages: [],
    send_window: null,
    max_in_flight_per: null,
    first_stage_covers: null,
    failure_threshold: 0.1,
    min_reports: 5,
    stepping_stones: null,
    ...values,
  });
