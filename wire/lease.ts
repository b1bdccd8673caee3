/** The signed offline lease: how much a terminal may sell, of what, until when, with no hub in reach (RM8). */
import { hash } from "node:crypto";
import { z } from "zod";
import {
  Base64Schema,
  CurrencySchema,
  DigestSchema,
  EpochSchema,
  MeansSchema,
  TerminalIdSchema,
  TimeSchema,
} from "./common.ts";
import { SignedSchema } from "./signing.ts";
import { InstitutionIdSchema, MccSchema, StandInParametersSchema } from "./stand-in.ts";

const MinorSchema = z.string().regex(/^(?:0|[1-9]\d{0,11})$/);

/** 90 days. */
const AGE_MAX_SEC = 7_776_000;

/** How many cards, devices and accounts can be denied at one time. */
export const DENIED_MAX = 5_000;

/** SHA-256 over the sorted tokens, one per line: an empty list has the digest of nothing. */
export const denyListHash = (tokens: readonly string[]): string => hash("sha256", tokens.toSorted().join("\n"), "hex");

/** Institutions of which one lease tells, and ranges of each. */
const MIRRORED_SETS_MAX = 64;
const MIRRORED_RANGES_MAX = 1_000;

/** What one institution lets be decided on its cards; nothing while it has given no parameters. */
const MirroredSetSchema = z.strictObject({
  /** Leading digits of its cards' numbers; of several institutions that fit, the longest counts. */
  ranges: z.array(z.string().regex(/^\d{1,19}$/)).max(MIRRORED_RANGES_MAX),
  parameters: StandInParametersSchema.optional(),
});
export type MirroredSet = z.infer<typeof MirroredSetSchema>;

export const LeaseSchema = z.strictObject({
  leaseId: z.string().min(1).max(64),
  terminalId: TerminalIdSchema,
  epoch: EpochSchema,
  /** Rises with every lease given to this terminal; an older one never replaces a newer. */
  counter: z.int().min(1),
  issuedAt: TimeSchema,
  expiresAt: TimeSchema,
  currency: CurrencySchema,
  /** Minor units for one sale; for all that is not yet receipted; and how many of them. */
  perSaleMinor: MinorSchema,
  sumMinor: MinorSchema,
  countMax: z.int().min(0).max(100_000),
  means: z.array(MeansSchema).max(8),
  /** How old the oldest offline sale without a receipt may be while more are made. */
  ageMaxSec: z.int().min(60).max(AGE_MAX_SEC).default(AGE_MAX_SEC),
  /** What one card or one payer's device may buy before the receipts come. */
  perPayer: z.strictObject({ countMax: z.int().min(1).max(100_000), sumMinor: MinorSchema }).optional(),
  /** A card that declines because nobody could be asked may be taken all the same, and its ARQC sent later (RM9). */
  deferredAuthorisation: z.boolean().default(false),
  /**
   * HMACs under this terminal's card-token key of what is refused: of a card its number, of a paying device `device:<id>`,
   * of an account `account:<id>`. The version rises with each change, the hash is `denyListHash`.
   */
  denyList: z.strictObject({
    version: z.int().min(0),
    hash: DigestSchema,
    tokens: z.array(DigestSchema).max(DENIED_MAX),
  }),
  /**
   * What institutions let this terminal decide in their names (system 3): their parameters without stop lists, whose accounts
   * only the hub can know. Absent where none does.
   */
  standIn: z
    .strictObject({
      acquirerId: InstitutionIdSchema,
      mcc: MccSchema,
      sets: z.array(MirroredSetSchema).min(1).max(MIRRORED_SETS_MAX),
    })
    .optional(),
  /** The hub's present HPKE key: X25519 SPKI. */
  sealingKey: z.strictObject({ keyId: z.string().min(1).max(64), publicKey: Base64Schema }),
});
export type Lease = z.infer<typeof LeaseSchema>;

/** 16 bytes of chance, base64url. */
export const NonceSchema = z.string().regex(/^[A-Za-z0-9_-]{22}$/);

/** Signed under the domain `time`; replaces the box's own idea of the time for leases and deadlines. */
export const HubTimeSchema = z.strictObject({
  terminalId: TerminalIdSchema,
  at: TimeSchema,
  /** Of the presence that this answers: shows that the time was told after it was asked for. */
  nonce: NonceSchema.optional(),
});
export type HubTime = z.infer<typeof HubTimeSchema>;

export const LeaseMessageSchema = z.strictObject({
  /** Absent when the hub gives this terminal none. */
  lease: SignedSchema.optional(),
  time: SignedSchema,
  /** What this hub durably holds of the journal whose epoch the terminal named: shows a restore from a backup (RM18). */
  held: z
    .strictObject({
      hubEpoch: EpochSchema,
      watermark: z.int().min(0),
      /** The highest fence that came with a batch of this journal: a holder with a lower one is shut out until it raises its own. */
      fence: z.int().min(0).optional(),
    })
    .optional(),
});
