/** A bug that a real system shipped, planted again in our own sources as they are loaded: the simulator must see it. */

export interface Patch {
  /** The file of the product, from the project's root. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Plant extends Patch {
  /** Such as `id-minted-inside-the-retry`. */
  readonly name: string;
  /** Who shipped it, and where that can be read. */
  readonly shippedBy: string;
  /** Where the product is safe twice over: the other guards that those who shipped it did not have. */
  readonly also?: readonly Patch[];
  /** A seed that is known to catch it: tried first, and only a hint. */
  readonly seed: string;
}

export const patchesOf = ({ file, find, replace, also = [] }: Plant): readonly Patch[] => [
  { file, find, replace },
  ...also,
];

/** The source of one file with the bug in it. Throws when a text does not stand there exactly once. */
export function planted(plant: Plant, file: string, source: string): string {
  return patchesOf(plant)
    .filter((patch) => patch.file === file)
    .reduce((text, { find, replace }) => {
      const pieces = text.split(find);
      if (pieces.length !== 2)
        throw new Error(`${plant.name}: ${file} has its text ${pieces.length - 1} times, not once: ${find}`);
      return pieces.join(replace);
    }, source);
}
