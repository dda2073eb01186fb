import { capital, sentence } from '../text/format.ts';

/** Verdicts whose text cannot be derived from the code. */
const NAMES: Readonly<Record<string, string>> = {
  ELF: 'ELF file',
  UF2: 'UF2 file',
  GZIP: 'gzip file',
  ZIP: 'ZIP file',
  JSON: 'JSON',
  INTEL_HEX: 'Intel HEX file',
  OTADATA: 'OTA data',
  LITTLEFS: 'LittleFS image',
  NVS: 'NVS image',
  NOT_ESP_IMAGE: 'not an ESP image',
  ESP8266_V1: 'ESP8266 image, version 1',
  ESP8266_V2: 'ESP8266 image, version 2',
  UNKNOWN_CHIP_ID: 'unknown chip ID',
  SIGNATURE_CRC: 'signature CRC',
};

/** `NOT_ESP_IMAGE` as `Not an ESP image`. */
export const verdictName = (verdict: string) => (verdict in NAMES ? capital(NAMES[verdict] ?? '') : sentence(verdict));

/** The end of many messages, which says what to upload instead. */
const ADVICE = /(;| and)? (upload the application \.bin of the build \([^)]*\)).*$/;

/** Splits a message into its reason and its advice, which a list of messages shows once. */
export function splitAdvice(message: string): { readonly reason: string; readonly advice: string | undefined } {
  const found = ADVICE.exec(message);
  return { reason: message.replace(ADVICE, ''), advice: found?.[2] };
}
