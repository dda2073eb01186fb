import * as z from 'zod';
import { DEFAULT_PACKET_LIMIT_BYTES, normalizeModel } from '../protocol/index.ts';
import { modelSigningFields } from './signing-settings.ts';

/** Presigned URLs of a Lambda role are 1,200 to 3,000 characters long. */
export const PRESIGNED_PACKET_LIMIT_BYTES = 4_096;

/**
 * How a device gets its image. `redirect`: the link answers 302 to S3. `direct`: the link answers with the bytes
 * (images up to 4 MiB; for HTTP clients that cannot handle a long Location header). `presigned`: the command contains
 * the S3 URL itself.
 */
export const deliverySchema = z.enum(['redirect', 'direct', 'presigned']);
export type Delivery = z.infer<typeof deliverySchema>;

export const modelSettingsSchema = z
  .strictObject({
    /**
     * Chip of the model if its name does not state it, spelled as in the image header: `ESP32`, `ESP32-S3`, `ESP8266` …
     */
    chip: z.string().optional(),
    /** Size of the OTA partition; larger images are rejected. */
    otaPartitionBytes: z.number().int().positive().optional(),
    /** Longest MQTT packet that the model's client accepts. */
    packetLimitBytes: z.number().int().min(128).default(DEFAULT_PACKET_LIMIT_BYTES),
    delivery: deliverySchema.default('redirect'),
    /** Accept images without an application descriptor (Arduino core 1.x, bare metal). */
    allowWithoutDescriptor: z.boolean().default(false),
    /**
     * Project name that images of the model embed. A secure boot signature counts only for images of this project;
     * without it, for images of the project of the model's first signed release.
     */
    projectName: z.string().min(1).max(31).optional(),
    ...modelSigningFields,
  })
  .refine((model) => model.delivery !== 'presigned' || model.packetLimitBytes >= PRESIGNED_PACKET_LIMIT_BYTES, {
    path: ['delivery'],
    message: `"presigned" needs packetLimitBytes of at least ${PRESIGNED_PACKET_LIMIT_BYTES}: such URLs are up to 3 KB long`,
  });

export type ModelSettings = z.infer<typeof modelSettingsSchema>;

export const modelsSchema = z.record(z.string().min(1).max(64), modelSettingsSchema).default({});
export type Models = z.infer<typeof modelsSchema>;

/** The settings of a model; the defaults if it has none. */
export const settingsOf = (models: Models, deviceModel: string): ModelSettings =>
  Object.entries(models).find(([name]) => normalizeModel(name) === normalizeModel(deviceModel))?.[1] ??
  modelSettingsSchema.parse({});
