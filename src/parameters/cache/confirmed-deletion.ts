/** Fewer missing names than this are never a mass deletion, whatever their share. */
const breakerFloor = 5;

/**
 * Proof that AWS has reported a parameter missing twice to this process, the grace apart. Only the deletion confirmer
 * asks for it. Without it, no Secret is deleted and no key is dropped for a missing source.
 */
export class ConfirmedDeletion {
  readonly #heard = "twice";
  private constructor() {}

  get heard(): string {
    return this.#heard;
  }

  /**
   * Confirms a deletion, unless so many of the identity's names are missing at once that none is treated as deleted:
   * over a tenth, and at least five.
   *
   * @param missing the identity's missing names
   * @param total all names of the identity
   * @returns undefined in such a mass deletion
   */
  static unlessMany(missing: number, total: number): ConfirmedDeletion | undefined {
    const isMassDeletion = missing >= breakerFloor && missing * 10 > total;
    return isMassDeletion ? undefined : new ConfirmedDeletion();
  }
}
