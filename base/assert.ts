/** Programmer errors: a broken invariant ends the process, its supervisor starts it again. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`);
}

/** The end of an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** The value, where an absent one can only be a bug. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`broken invariant: ${what} is absent`);
  return value;
}
