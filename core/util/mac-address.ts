/** Normalizes a MAC address with `:`, `-` or no separators to `AA:BB:CC:DD:EE:FF`; undefined for any other text. */
export function normalizeMacAddress(text: string): string | undefined {
  const digits = text.trim().replace(/[:-]/g, '').toUpperCase();
  if (!/^[0-9A-F]{12}$/.test(digits)) return undefined;
  return digits.match(/../g)?.join(':');
}
