/** The agent's configuration: what one shop's counter differs in from the next. */
import { join } from "node:path";
import { z } from "zod";
import { configJsonSchema, type Environment, loadConfig } from "../base/config-file.ts";
import { ID_PATTERN } from "../base/ids.ts";
import { LOG_LEVELS } from "../base/log.ts";
import { type Currency, isCurrency } from "../base/money.ts";

const DEVICES_MAX = 32;
const ADDRESS_LINES_MAX = 6;
/** RM2: issuer 2.0 s < hub 2.5 s < agent, so that an answer that was given is also heard. */
const ONLINE_TIMEOUT_MIN_MS = 4_000;
const DEVICE_URI = /^[a-z][a-z0-9+-]*:.+/;

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^(?:[A-Za-z_]+\/|UTC$)/.test(name);
  } catch {
    return false;
  }
};

const ApiSchema = z.strictObject({
  /** Loopback only: whoever reaches the API can take money. */
  host: z.literal("127.0.0.1").default("127.0.0.1"),
  /** 0 takes any free port. */
  port: z.int().min(0).max(65_535).default(8741),
  tokenFile: z.string().min(1).optional(),
});

const SiteSchema = z.strictObject({
  merchantName: z.string().min(1).max(48),
  addressLines: z.array(z.string().max(48)).max(ADDRESS_LINES_MAX).default([]),
  timeZone: z.string().refine(isTimeZone, "an IANA time zone such as Europe/Berlin"),
  locale: z.enum(["en", "de", "fr"]).default("en"),
  /** ISO 3166-1 numeric, told to cards (EMV tag 9F1A); 0 tells them nothing. */
  countryCode: z.int().min(0).max(999).default(0),
  currency: z
    .string()
    .refine(isCurrency, "an ISO 4217 code such as EUR")
    .transform((code) => code as Currency),
});

const DeviceSchema = z.strictObject({
  id: z.string().regex(ID_PATTERN, "a name of letters, digits, dots, dashes"),
  uri: z.string().max(1_024).regex(DEVICE_URI, "a device URI such as pcsc:* or serial:/dev/ttyUSB0?baud=115200"),
});

const PaymentSchema = z.strictObject({
  /** How long a customer may take to present a card. */
  cardTimeoutSec: z.int().min(5).max(600).default(60),
  onlineTimeoutMs: z.int().min(ONLINE_TIMEOUT_MIN_MS).max(30_000).default(5_000),
  /** Cash on top of a sale, minor units at most; without it this terminal gives none. */
  cashback: z.strictObject({ maxMinor: z.int().min(1).max(999_999_999) }).optional(),
});

const actionCode = z.string().regex(/^[0-9A-Fa-f]{10}$/, "five bytes in hex");
const PERCENT_MAX = 99;

export const EmvSchema = z.strictObject({
  /** Applications that may pay here, by the beginning of their AID. */
  applications: z
    .array(z.string().regex(/^(?:[0-9A-Fa-f]{2}){5,16}$/, "5 to 16 bytes in hex"))
    .min(1)
    .max(64)
    .default(["F054494C4C57"]),
  /** JSON lists, as `tillway emv capk check` takes them. */
  caKeysFile: z.string().min(1).optional(),
  revokedFile: z.string().min(1).optional(),
  /** Minor units; a sale below it need not go online. 0: every sale goes online while the hub is in reach. */
  floorLimitMinor: z.int().min(0).max(999_999_999).default(0),
  /** Below the floor limit, so many percent go online by chance, rising from the threshold on (EMV Book 3, 10.6.2). */
  random: z
    .strictObject({
      targetPercent: z.int().min(0).max(PERCENT_MAX).default(0),
      maxTargetPercent: z.int().min(0).max(PERCENT_MAX).default(0),
      thresholdMinor: z.int().min(0).max(999_999_999).default(0),
    })
    .refine(
      ({ targetPercent, maxTargetPercent }) => maxTargetPercent >= targetPercent,
      "a maxTargetPercent that is not below targetPercent",
    )
    .prefault({}),
  /**
   * Terminal action codes: bits of the terminal verification results. As the note to Book 3, 10.7 recommends, what authentication, dates, verification
   * or risk management found goes online; with nobody to ask, a card that could not prove itself, is out of date or is
   * for no such sale is declined. The floor limit is no reason then: the lease is the limit.
   */
  actionCodes: z
    .strictObject({
      denial: actionCode.default("0000000000"),
      online: actionCode.default("FC78BCF800"),
      default: actionCode.default("FC70800000"),
    })
    .prefault({}),
  /** Signature as a way to verify the cardholder: the receipt gets a line for it, the shop a copy. */
  signature: z.boolean().default(false),
});

const UplinkSchema = z.strictObject({
  prefer: z.enum(["mqtt", "https"]).default("mqtt"),
  /** Instead of what the hub said at enrolment. */
  mqttUrl: z.url({ protocol: /^mqtts$/, error: "a URL such as mqtts://hub.example:8883" }).optional(),
  httpsUrl: z.url({ protocol: /^https$/, error: "a URL such as https://hub.example:8443" }).optional(),
});

export const AgentConfigSchema = z.strictObject({
  dataDir: z.string().min(1).default("/var/lib/tillway/agent"),
  api: ApiSchema.prefault({}),
  site: SiteSchema,
  devices: z
    .array(DeviceSchema)
    .max(DEVICES_MAX)
    .refine(
      (devices) => new Set(devices.map(({ id }) => id)).size === devices.length,
      "a list in which no id comes twice",
    )
    .default([]),
  payment: PaymentSchema.prefault({}),
  emv: EmvSchema.prefault({}),
  uplink: UplinkSchema.prefault({}),
  /** Free space, below which nothing more is sold offline: money must still fit on the disk. */
  reserve: z.strictObject({ diskMb: z.int().min(1).max(1_000_000).default(64) }).prefault({}),
  /** How long receipted entries stay in the journal before they move to a signed archive beside it (RM18). */
  retention: z.strictObject({ days: z.int().min(1).max(3_650).default(90) }).prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default("info") }).prefault({}),
});
export type AgentConfig = z.infer<typeof AgentConfigSchema>;

/** Where a packaged agent looks when nobody names another file. */
export const DEFAULT_CONFIG_PATH = "/etc/tillway/agent.yaml";

/** Throws Fault `config.invalid` or `config.missing`, one line each. */
export const loadAgentConfig = (path: string, env: Environment): AgentConfig =>
  loadConfig({ path, schema: AgentConfigSchema, env });

export const tokenFileOf = (config: Pick<AgentConfig, "dataDir" | "api">): string =>
  config.api.tokenFile ?? join(config.dataDir, "api-token");

/** Where a running agent leaves the address of its API. */
export const addressFileOf = (config: Pick<AgentConfig, "dataDir">): string => join(config.dataDir, "api-address");

/** For editors: `tillway agent schema`. */
export const agentConfigJsonSchema = (): Record<string, unknown> => configJsonSchema(AgentConfigSchema);
