const part = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-GB', options);
const seconds = part({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const minutes = part({ hour: '2-digit', minute: '2-digit' });
const days = part({ day: 'numeric', month: 'short' });

/** @param step seconds between ticks */
export function formatTick(time: number, step: number): string {
  const date = new Date(time * 1000);
  if (step < 60) return seconds.format(date);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return step >= 86_400 || isMidnight ? days.format(date) : minutes.format(date);
}
