/** Normalizes a MAC address with `:`, `-` or no separators to `AA:BB:CC:DD:EE:FF`; undefined for any other text. */
export function normalizeMacAddress(text: string): string | undefined {
  const digits = text.trim().replace(/[:-]/g, '').toUpperCase();
  if (!/^[0-9A-F]{12}$/.test(digits)) return undefined;
  return digits.match(/../g)?.join(':');
}

/** What a board reports whose MAC address could not be read: all bits 0, or all 1. */
const NO_ADDRESS = /^(?:00:){5}00$|^(?:FF:){5}FF$/;

/** True for a normalized MAC address that belongs to no board. */
export const isNoAddress = (mac: string): boolean => NO_ADDRESS.test(mac);
