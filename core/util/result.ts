/** A value, or the reason why there is none. For what may be refused as a matter of course; other failures are thrown. */
export type Result<Value, Reason = string> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: Reason };
