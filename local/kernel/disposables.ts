/** Things to close at the end, in the reverse order of their creation. */
export class Disposables {
  readonly #disposables: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#disposables.unshift(close);
  }

  /** Closes everything once, and continues after a failure. @throws the first failure at the end */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#disposables.splice(0)) {
      await Promise.resolve()
        .then(close)
        .catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
