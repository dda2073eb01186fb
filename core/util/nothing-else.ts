/**
 * Compiles only if a destructured object has no other fields than those that were named before the rest. So a new field
 * cannot be left out of what is made of the object.
 */
export const nothingElse = (_: Readonly<Record<string, never>>): void => {};
