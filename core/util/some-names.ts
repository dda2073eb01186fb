/** "a, b, c and 4 more": the given names, and how many more there are. */
export function someNames(names: readonly string[], total: number): string {
  const more = total - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}
