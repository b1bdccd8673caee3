/** How often each class of fault was hit, by name: a class that is never hit proves nothing. */

export type CountsTable = Readonly<Record<string, number>>;

export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  addAll(table: CountsTable): void {
    for (const [name, by] of Object.entries(table)) this.add(name, by);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** By name, in the order of names. */
  table(): CountsTable {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
