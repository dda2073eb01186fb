/** `AA:BB:CC:DD:EE:FF` for any of the forms devices and people write (`:`, `-` or nothing between), else undefined. */
export function normalizeMacAddress(text: string): string | undefined {
  const digits = text.trim().replace(/[:-]/g, '').toUpperCase();
  if (!/^[0-9A-F]{12}$/.test(digits)) return undefined;
  return digits.match(/../g)?.join(':');
}
