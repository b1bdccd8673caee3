/**
 * Payers: the phones of customers, each enrolled by a one-time claim with a key of its own. What a phone says counts only
 * under its signature; nothing is stored of what does not bear one.
 */
import { hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import { Fault, isFault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import {
  DeviceIdSchema,
  NOTICES_MAX,
  type PhoneEnrolRequest,
  type PhoneMessage,
  PhoneMessageSchema,
  type PhoneReply,
} from "../../../wire/phone.ts";
import { firstIssue, parseJson, readPublicKey, type Signed, signatureFits } from "../../../wire/signing.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type DeviceRow, type NoticeRow, payerStore } from "./store.ts";

export interface PayerDevice {
  readonly deviceId: string;
  readonly userId: string;
  /** Who pays for what this phone signs. */
  readonly accountId: string;
  /** Ed25519 SPKI. */
  readonly publicKey: string;
  readonly status: "active" | "blocked";
  readonly name?: string;
  readonly createdAt: number;
}

export interface NewPhoneClaim {
  readonly claimId: string;
  readonly secret: string;
  readonly userId: string;
  readonly expiresAt: number;
}

export interface NoticeInput {
  readonly deviceId: string;
  readonly status: "paid" | "released";
  readonly txnId: string;
  /** Of the code that paid, if one did. */
  readonly grantId?: string;
  readonly amount: Money;
}

export interface PhoneEnrolRefusal {
  readonly reason: Extract<ReasonCode, "E_UNKNOWN" | "E_USED" | "E_EXPIRED" | "E_FORMAT">;
  readonly detail: string;
}

/** What a feature may ask of payers. */
export interface PayerDirectory {
  device(reading: Reading, deviceId: string): Promise<PayerDevice | undefined>;
  hasUser(reading: Reading, userId: string): Promise<boolean>;
  /** Waits until the phone asks. */
  notify(within: Within, notice: NoticeInput): Promise<void>;
}

export interface PayersOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** As customers know the shop. */
  readonly merchantName: string;
  readonly log: Log;
  /** What terminals are told: a blocked phone's notes are taken nowhere, with the hub in reach or not. */
  readonly denyList: {
    add(within: Within, subject: DeniedPhone, why: string): Promise<Result<unknown, string>>;
    remove(within: Within, subject: DeniedPhone): Promise<Result<unknown, string>>;
  };
}
interface DeniedPhone {
  readonly kind: "device";
  readonly id: string;
}

export type Payers = ReturnType<typeof createPayers>;

const SECRET_BYTES = 32;
const ID_BYTES = 8;

const digest = (secret: string): Uint8Array => hash("sha256", secret, "buffer");

export function createPayers(options: PayersOptions) {
  const { clock, random, merchantName } = options;
  return {
    async device(reading: Reading, deviceId: string): Promise<PayerDevice | undefined> {
      const row = await payerStore.device(reading, deviceId);
      return row && deviceOf(row);
    },
    async devices(
      reading: Reading,
      page: { readonly after: string; readonly limit: number },
    ): Promise<readonly PayerDevice[]> {
      return (await payerStore.devices(reading, page)).map(deviceOf);
    },
    hasUser: (reading: Reading, userId: string): Promise<boolean> => payerStore.hasUser(reading, userId),
    /** The phones that pay from an account. */
    devicesOf: (reading: Reading, accountId: string): Promise<readonly string[]> =>
      payerStore.devicesOf(reading, accountId),
    /** For the hub and, with their next lease, for its terminals. False for a phone unknown here. */
    setStatus: (
      within: Within,
      deviceId: string,
      status: PayerDevice["status"],
      why = "blocked by the operator",
    ): Promise<boolean> => changeStatus(options, within, { deviceId, status, why }),

    /** Only a hash of the secret stays here. */
    async createClaim(within: Within, input: NewClaimInput): Promise<NewPhoneClaim> {
      const now = clock.now();
      const secret = Buffer.from(random(SECRET_BYTES)).toString("base64url");
      const claim = { claimId: toHex(random(ID_BYTES)), secret, userId: input.userId };
      const expiresAt = now + input.validMs;
      await payerStore.insertClaim(within, {
        id: claim.claimId,
        userId: input.userId,
        accountId: input.accountId,
        name: input.name ?? null,
        secretHash: digest(secret),
        createdAt: now,
        expiresAt,
      });
      return { ...claim, expiresAt };
    },

    async enrol(within: Within, request: PhoneEnrolRequest): Promise<Result<PayerDevice, PhoneEnrolRefusal>> {
      const now = clock.now();
      const claim = await payerStore.claim(within, request.claimId);
      const secretFits = timingSafeEqual(digest(request.secret), claim?.secretHash ?? digest(""));
      if (!claim || !secretFits) return refuse("E_UNKNOWN", "no such claim and secret; ask for a new claim");
      if (claim.usedAt !== null) return refuse("E_USED", "this claim was used; ask for a new one");
      if (now >= claim.expiresAt) return refuse("E_EXPIRED", "this claim has expired; ask for a new one");
      if (!isPhoneKey(request.publicKey)) return refuse("E_FORMAT", "publicKey: not an Ed25519 key");
      if (!(await payerStore.useClaim(within, claim.id, now)))
        return refuse("E_USED", "this claim was used; ask for a new one");
      const row: DeviceRow = {
        id: toHex(random(ID_BYTES)),
        userId: claim.userId,
        publicKey: request.publicKey,
        accountId: claim.accountId,
        name: claim.name,
        status: "active",
        createdAt: now,
      };
      await payerStore.insert(within, row);
      return ok(deviceOf(row));
    },

    /**
     * Who says it, and what. Throws Fault `identity.invalid` for a phone unknown here or blocked, `signature.invalid`, and
     * `message.invalid` for signed words of unknown form.
     */
    async open(reading: Reading, signed: Signed): Promise<OpenedWords> {
      const deviceId = namedDevice(signed.text);
      const row = await payerStore.device(reading, deviceId);
      if (!row) throw new Fault("identity.invalid", `no phone ${deviceId} is enrolled here`);
      if (!fits(signed, readPublicKey(row.publicKey)))
        throw new Fault("signature.invalid", `the phone ${deviceId} did not sign this`);
      if (row.status === "blocked") throw blockedFault(deviceId);
      const parsed = PhoneMessageSchema.safeParse(parseJson(signed.text));
      if (!parsed.success) throw new Fault("message.invalid", firstIssue(parsed.error));
      return { message: parsed.data, device: deviceOf(row) };
    },

    /** Throws Fault `identity.invalid` for a phone that was blocked since its words were opened. */
    mustBeActive,

    notify: (within: Within, notice: NoticeInput): Promise<void> =>
      payerStore.insertNotice(within, noticeRow(notice, clock.now())),

    /** The answer to a poll. */
    async notices(reading: Reading, device: PayerDevice, since: number): Promise<PhoneReply> {
      const found = await payerStore.notices(reading, device.deviceId, { since, limit: NOTICES_MAX + 1 });
      const notices = found.slice(0, NOTICES_MAX).map((row) => noticeOf(row, merchantName));
      return { type: "notices", body: { notices, more: found.length > NOTICES_MAX } };
    },
  };
}

async function mustBeActive(reading: Reading, deviceId: string): Promise<void> {
  if ((await payerStore.device(reading, deviceId))?.status === "blocked") throw blockedFault(deviceId);
}

const blockedFault = (deviceId: string): Fault =>
  new Fault("identity.invalid", `the phone ${deviceId} is blocked; ask the operator`);

interface OpenedWords {
  readonly message: PhoneMessage;
  readonly device: PayerDevice;
}

interface StatusChange extends Pick<PayerDevice, "deviceId" | "status"> {
  readonly why: string;
}

async function changeStatus({ denyList, log }: PayersOptions, within: Within, change: StatusChange): Promise<boolean> {
  const { deviceId, status, why } = change;
  const phone = { kind: "device", id: deviceId } as const;
  if (!(await payerStore.setStatus(within, deviceId, status))) return false;
  const told = await (status === "blocked" ? denyList.add(within, phone, why) : denyList.remove(within, phone));
  if (!told.ok && told.error === "full")
    log.error("the deny list is full: terminals are not told of a blocked phone", { deviceId, why });
  return true;
}

export interface NewClaimInput {
  readonly userId: string;
  readonly accountId: string;
  readonly name?: string | undefined;
  readonly validMs: number;
}

const refuse = (reason: PhoneEnrolRefusal["reason"], detail: string): Result<never, PhoneEnrolRefusal> =>
  fail({ reason, detail });

function isPhoneKey(text: string): boolean {
  let key: KeyObject;
  try {
    key = readPublicKey(text);
  } catch {
    return false;
  }
  return key.asymmetricKeyType === "ed25519";
}

/** Base64 that nobody would write is no signature either. */
function fits(signed: Signed, key: KeyObject): boolean {
  try {
    return signatureFits("phone", signed, key);
  } catch (error) {
    if (isFault(error, "codec.invalid")) return false;
    throw error;
  }
}

const NamesDevice = z.looseObject({ deviceId: DeviceIdSchema });

/** Whose key to try. A text that names no phone is signed by none. */
function namedDevice(text: string): string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const named = NamesDevice.safeParse(json);
  if (!named.success) throw new Fault("signature.invalid", "the text names no phone that could have signed it");
  return named.data.deviceId;
}

const deviceOf = (row: DeviceRow): PayerDevice => ({
  deviceId: row.id,
  userId: row.userId,
  accountId: row.accountId,
  publicKey: row.publicKey,
  status: row.status,
  ...(row.name === null ? {} : { name: row.name }),
  createdAt: row.createdAt,
});

const noticeRow = ({ amount, grantId, ...notice }: NoticeInput, at: number) => ({
  ...notice,
  grantId: grantId ?? null,
  minor: Number(amount.minor),
  currency: amount.currency,
  at,
});

const noticeOf = (row: NoticeRow, merchantName: string) => ({
  number: row.number,
  status: row.status,
  txnId: row.txnId,
  ...(row.grantId === null ? {} : { grantId: row.grantId }),
  amountMinor: String(row.minor),
  currency: row.currency,
  merchantName,
  at: new Date(row.at).toISOString(),
});
