/** A bug that a real system shipped, planted again in our own sources as they are loaded: the simulator must see it. */
export interface Plant {
  /** Such as `id-minted-inside-the-retry`. */
  readonly name: string;
  /** Who shipped it, and where that can be read. */
  readonly shippedBy: string;
  /** The file of the product, from the project's root. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}
