/** What a person may configure of the hub, with its defaults. */
import { isIP } from "node:net";
import { z } from "zod";
import type { TerminalId } from "../base/ids.ts";
import { LOG_LEVELS } from "../base/log.ts";
import { CRYPTOGRAM_VERSIONS } from "../protocols/emv/cryptogram-versions.ts";
import { SPEC_NAMES } from "../protocols/iso8583/specs.ts";
import { ACCOUNT_NAME_MAX, isBic, isIban } from "../protocols/iso20022/bank-account.ts";
import { CurrencySchema, MeansSchema } from "../wire/common.ts";
import { InstitutionIdSchema, MccSchema } from "../wire/stand-in.ts";
import { isTimeZone } from "./core/settlement/business-day.ts";
import { AVAILABILITY_DEFAULTS } from "./core/standin/availability.ts";
import { RECOVERY_DEFAULTS } from "./core/standin/recovery.ts";
import type { LeasePolicy } from "./core/terminals/index.ts";
import type { HubPolicy } from "./hub-core.ts";

const PortSchema = z.int().min(0).max(65_535);
const NameSchema = z
  .string()
  .refine((name) => isIP(name) !== 0 || /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/.test(name), "a host name or address");
/** Part of account ids. */
const PartySchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "lower-case letters, digits and dashes, at most 32");
const CARD_RANGES_MAX = 64;
const MinorSchema = z.int().min(0).max(999_999_999_999);

const LeaseConfigSchema = z.strictObject({
  enabled: z.boolean().default(true),
  currency: CurrencySchema.prefault("EUR"),
  perSaleMinor: MinorSchema.default(5_000),
  sumMinor: MinorSchema.default(50_000),
  countMax: z.int().min(0).max(100_000).default(50),
  hours: z.int().min(1).max(744).default(72),
  means: z
    .array(MeansSchema)
    .min(1)
    .max(8)
    .default(() => ["chip" as const]),
  /** Terminals may sell to cards that decline for want of an answer, at the merchant's risk (RM9). */
  deferredAuthorisation: z.boolean().default(false),
  /** How old the oldest sale without a receipt may be while a terminal makes more. */
  ageHours: z.int().min(1).max(2_160).default(168),
  /** What one card or one payer's phone may buy at a terminal that is cut off. */
  perPayer: z
    .strictObject({ countMax: z.int().min(1).max(100_000).default(5), sumMinor: MinorSchema.default(10_000) })
    .prefault({}),
});

/** Cards that this hub issues itself: it checks their cryptograms and answers them. */
const IssuingSchema = z
  .strictObject({
    bin: z.string().regex(/^\d{4,19}$/, "the 4 to 19 leading digits of the cards' numbers, in quotes"),
    /** 32 hex digits, mode 0600; a relative path starts in the data folder. */
    masterKeyFile: z.string().min(1),
    /** EMV Book 2, A1.4. */
    derivation: z.enum(["A", "B"]).default("A"),
    cryptogramVersion: z.literal(CRYPTOGRAM_VERSIONS).default(18),
    /** EMV Book 2, 8.2; 1 when absent, and 2 for the common-core version. */
    arpcMethod: z.literal([1, 2]).optional(),
  })
  .refine(({ cryptogramVersion, derivation }) => cryptogramVersion !== "common-core" || derivation === "B", {
    path: ["derivation"],
    error: "must be B for the common-core version",
  });

const ISSUERS_MAX = 64;
const ISSUER_RANGES_MAX = 1_000;
/** Characters of all ranges of institutions that delegate, which each lease names beside a full deny list. */
const STAND_IN_RANGES_MAX = 150_000;
const STOP_LIST_KEYS_MAX = 16;
/** An institution whose cards are authorised by its own host, over ISO 8583. */
const IssuerSchema = z.strictObject({
  id: InstitutionIdSchema,
  /** Leading digits of its cards' numbers, in quotes. */
  ranges: z
    .array(z.string().regex(/^\d{1,19}$/, "leading digits, in quotes"))
    .min(1)
    .max(ISSUER_RANGES_MAX),
  host: NameSchema,
  port: z.int().min(1).max(65_535),
  /** How messages are packed. */
  spec: z
    .string()
    .refine((name) => SPEC_NAMES.includes(name), `one of ${SPEC_NAMES.join(", ")}`)
    .default("1987-ascii"),
  /** When its business day ends, with whose totals it is reconciled: on the clocks of its time zone. */
  cutover: z
    .string()
    .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "HH:MM, in quotes")
    .default("00:00"),
  timeZone: z.string().max(64).refine(isTimeZone, "no time zone known here; such as Europe/Berlin").default("UTC"),
  /** What may be decided in its name while it is away; nothing when absent. */
  standIn: z
    .strictObject({
      /** Its public key, which checks stand-in parameters: Ed25519 in base64; a relative path starts in the data folder. */
      publicKeyFile: z.string().min(1),
      /** Keys of its stop lists by their names: files of 64 hex digits, mode 0600. */
      stopListKeys: z
        .record(z.string().min(1).max(64), z.string().min(1))
        .refine((keys) => Object.keys(keys).length <= STOP_LIST_KEYS_MAX, `at most ${STOP_LIST_KEYS_MAX} keys`)
        .default({}),
    })
    .optional(),
});

/** As JSON. */
const rangesLength = (issuers: readonly z.output<typeof IssuerSchema>[]): number =>
  issuers.reduce((sum, { ranges, standIn }) => sum + (standIn ? JSON.stringify(ranges).length : 0), 0);

const STORE_URLS_MAX = 8;
/** Without its password, which has no place in a configuration: PGPASSFILE or PGPASSWORD name it. */
const StoreUrlSchema = z
  .string()
  .refine(
    (text) => URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol),
    "postgres://user@host:port/database",
  )
  .refine((text) => !URL.canParse(text) || new URL(text).password === "", "no password here: PGPASSFILE names it");
/** `sqlite`: a file in the data folder. `postgres`: of several servers the one that can be written to is used. */
const StoreSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("sqlite") }),
  z.strictObject({ kind: z.literal("postgres"), urls: z.array(StoreUrlSchema).min(1).max(STORE_URLS_MAX) }),
]);

const BROKERS_MAX = 8;
const BrokerUrlSchema = z.string().regex(/^(?:nats|tls):\/\/[^/@\s]+:\d{1,5}$/, "nats://host:port or tls://host:port");
/** Over what terminals hold their connections. `embedded`: the hub's own MQTT listener. `nats`: the MQTT side of NATS. */
const IngestSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("embedded") }),
  z.strictObject({
    kind: z.literal("nats"),
    servers: z.array(BrokerUrlSchema).min(1).max(BROKERS_MAX),
    /** How many of them keep each message. */
    replicas: z.literal([1, 3, 5]).default(1),
  }),
]);

const KeysSchema = z.strictObject({
  dataDir: z.string().min(1).default("/var/lib/tillway/hub"),
  logLevel: z.enum(LOG_LEVELS).default("info"),
  store: StoreSchema.prefault({ kind: "sqlite" }),
  ingest: IngestSchema.prefault({ kind: "embedded" }),
  listen: z
    .strictObject({
      host: NameSchema.default("127.0.0.1"),
      httpsPort: PortSchema.default(8743),
      mqttPort: PortSchema.default(8883),
    })
    .prefault({}),
  public: z
    .strictObject({
      /** What terminals are told to connect to. */
      host: NameSchema.default("127.0.0.1"),
      /** Where a balancer or brokers stand before the hub; the ports that it listens on when absent. */
      httpsPort: PortSchema.min(1).optional(),
      mqttPort: PortSchema.min(1).optional(),
      /** Further names and addresses in the server's certificate. */
      names: z.array(NameSchema).max(32).default([]),
    })
    .prefault({}),
  merchant: z
    .strictObject({
      id: PartySchema.default("shop"),
      /** As customers know the shop; its id when absent. */
      name: z.string().min(1).max(64).optional(),
    })
    .prefault({}),
  /** The account from which merchants are paid; without it no payout is made. */
  payer: z
    .strictObject({
      name: z.string().trim().min(1).max(ACCOUNT_NAME_MAX),
      iban: z.string().refine(isIban, "no IBAN: without spaces, and with check digits that hold"),
      bic: z.string().refine(isBic, "no BIC"),
    })
    .optional(),
  claims: z.strictObject({ hours: z.number().min(0.01).max(720).default(1) }).prefault({}),
  /** How long a terminal's certificate is good. It is renewed after two thirds of that. */
  certificates: z.strictObject({ days: z.int().min(1).max(825).default(90) }).prefault({}),
  authorisation: z
    .strictObject({
      holdHours: z.int().min(1).max(8_760).default(168),
      /** How long the amount of a pre-authorisation is held for its completion. */
      preAuthorisationHours: z.int().min(1).max(744).default(168),
      /** Who bears the part of an offline approval that the customer's account cannot. */
      offlineRisk: PartySchema.default("operator"),
      /** The same, when this hub had declined the sale before the card approved it. */
      declinedRisk: PartySchema.default("merchant"),
      /** How old a sale at the merchant's risk may be to be authorised afterwards (RM9); an older one is lost to him. */
      deferredMaxHours: z.int().min(1).max(8_760).default(168),
    })
    .prefault({}),
  operators: z
    .strictObject({
      /** The token in the data folder may do all; false once an admin has an account. */
      bootstrapToken: z.boolean().default(true),
      /** A session without a request ends after this time, and any after the other. */
      sessionIdleMinutes: z.int().min(1).max(1_440).default(30),
      sessionHours: z.int().min(1).max(168).default(12),
    })
    .prefault({}),
  issuing: z.array(IssuingSchema).max(CARD_RANGES_MAX).default([]),
  issuers: z
    .array(IssuerSchema)
    .max(ISSUERS_MAX)
    .refine(
      (issuers) => rangesLength(issuers) <= STAND_IN_RANGES_MAX,
      "too many ranges for one lease, in the institutions that delegate",
    )
    .refine((issuers) => new Set(issuers.map(({ id }) => id)).size === issuers.length, "two of them have one id")
    .default([]),
  /** This hub as issuers see it. */
  acquirer: z
    .strictObject({
      /** DE 32, and what stand-in parameters allow. */
      id: z
        .string()
        .regex(/^\d{1,11}$/, "1 to 11 digits, in quotes")
        .default("100000"),
      /** DE 42; the merchant's id when absent. */
      merchant: z.string().min(1).max(15).optional(),
      /** ISO 18245. */
      category: MccSchema.default("5999"),
    })
    .prefault({}),
  /** When an issuer counts as away, and as back; how what he missed is told him. */
  switch: z
    .strictObject({
      failThreshold: z.int().min(1).max(100).default(AVAILABILITY_DEFAULTS.failThreshold),
      hostTimeoutMs: z.int().min(100).max(2_000).default(AVAILABILITY_DEFAULTS.hostTimeoutMs),
      upProbes: z.int().min(1).max(100).default(AVAILABILITY_DEFAULTS.upProbes),
      probeEveryMs: z.int().min(50).max(60_000).default(1_000),
      refusalsMax: z.int().min(1).max(100).default(RECOVERY_DEFAULTS.refusalsMax),
    })
    .prefault({}),
  lease: LeaseConfigSchema.prefault({}),
  /** Cards of system 2: how long one has to answer its challenge. */
  card: z.strictObject({ challengeTtlMs: z.int().min(500).max(60_000).default(5_000) }).prefault({}),
  /** Pre-authorised codes: how long one is good, how many a user may have, what one may pay, how many guesses revoke all. */
  offlineCode: z
    .strictObject({
      ttlSec: z.int().min(60).max(2_592_000).default(86_400),
      maxActivePerUser: z.int().min(1).max(100).default(3),
      capMinor: MinorSchema.min(1).default(20_000),
      wrongCodesMax: z.int().min(1).max(100).default(5),
    })
    .prefault({}),
  /** Value that phones may spend with no hub in reach. */
  offlineNotes: z
    .strictObject({
      maxMinor: MinorSchema.default(5_000),
      ttlSec: z.int().min(60).max(2_592_000).default(86_400),
      /** How long after that its notes may be on their way. */
      graceSec: z.int().min(0).max(7_776_000).default(604_800),
      /** Who bears what was spent twice. */
      risk: PartySchema.default("operator"),
    })
    .prefault({}),
  /** Leases that differ from the ordinary one, by terminal. */
  leases: z.record(z.string().max(64), LeaseConfigSchema).default({}),
});

export const HubConfigSchema = KeysSchema.superRefine(refuseSharedRanges);
export type HubConfig = z.output<typeof HubConfigSchema>;

/** Of two owners one would be asked for the other's cards, and paid for them. A longer range within another counts before it. */
function refuseSharedRanges({ issuing, issuers }: z.output<typeof KeysSchema>, context: z.RefinementCtx): void {
  const refuse = (message: string) => context.addIssue({ code: "custom", path: ["issuers"], message });
  const owners = new Map<string, string>();
  for (const { id, ranges } of issuers)
    for (const range of ranges) {
      const owner = owners.get(range) ?? id;
      if (owner !== id) refuse(`the range ${range} belongs to ${owner} and ${id}`);
      owners.set(range, owner);
      const own = issuing.find(({ bin }) => range.startsWith(bin));
      if (own) refuse(`the range ${range} of ${id} never counts: this hub issues the cards of ${own.bin} itself`);
    }
}

export const HUB_ENV_PREFIX = "TILLWAY_HUB_";
const HOUR_MS = 3_600_000;

export function policyOf(config: HubConfig): HubPolicy {
  return {
    merchantId: config.merchant.id,
    cardChallengeTtlMs: config.card.challengeTtlMs,
    ...(config.merchant.name === undefined ? {} : { merchantName: config.merchant.name }),
    ...(config.payer && { payer: config.payer }),
    offlineCode: { ...config.offlineCode, capMinor: BigInt(config.offlineCode.capMinor) },
    holdMs: config.authorisation.holdHours * HOUR_MS,
    preAuthorisationMs: config.authorisation.preAuthorisationHours * HOUR_MS,
    deferredMaxMs: config.authorisation.deferredMaxHours * HOUR_MS,
    riskParties: { offline: config.authorisation.offlineRisk, declined: config.authorisation.declinedRisk },
    offlineNotes: {
      maxMinor: BigInt(config.offlineNotes.maxMinor),
      ttlSec: config.offlineNotes.ttlSec,
      graceSec: config.offlineNotes.graceSec,
      riskParty: config.offlineNotes.risk,
    },
    leaseOf(terminalId: TerminalId): LeasePolicy | undefined {
      const lease = Object.hasOwn(config.leases, terminalId) ? config.leases[terminalId] : config.lease;
      if (!lease?.enabled) return undefined;
      const { currency, countMax, hours, means, deferredAuthorisation, ageHours } = lease;
      const perSaleMinor = BigInt(lease.perSaleMinor);
      const sumMinor = BigInt(lease.sumMinor);
      const perPayer = { countMax: lease.perPayer.countMax, sumMinor: BigInt(lease.perPayer.sumMinor) };
      return { currency, perSaleMinor, sumMinor, countMax, hours, means, deferredAuthorisation, ageHours, perPayer };
    },
  };
}
