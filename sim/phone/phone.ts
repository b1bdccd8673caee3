/**
 * A customer's phone without any I/O of its own. While it has a network it makes codes and lets the hub register them; at
 * the counter it needs none, and answers from what it remembers.
 */
import type { Clock } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { newMessageId, type RandomBytes } from "../../base/ids.ts";
import { type Currency, currencyOf } from "../../base/money.ts";
import { preAuthorisedCodeText } from "../../protocols/codes/own-codes.ts";
import {
  type FirstApproval,
  type PhoneAnswer,
  PhoneAnswerSchema,
  type PhoneMessage,
  type PostedNotice,
} from "../../wire/phone.ts";
import { firstIssue, type Signed, type SigningKeys, signText } from "../../wire/signing.ts";
import { secureCodeText } from "./secure-code.ts";
import { CODES_KEPT_MAX, NEW_PHONE, NOTICES_KEPT_MAX, type PhoneCode, type PhoneState } from "./state.ts";

export interface PhoneIdentity {
  readonly deviceId: string;
  readonly userId: string;
  readonly accountRef: string;
}

export interface PhoneOptions {
  readonly keys: SigningKeys;
  readonly identity: PhoneIdentity;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** To the hub and back. Throws a Fault when there was no answer, or the hub did not take the words as this phone's. */
  transport(signed: Signed): Promise<unknown>;
  readonly state?: PhoneState;
  /** Makes the state durable before anything depends on it. */
  save?(state: PhoneState): void;
}

type ContentOf<M> = M extends { readonly type: infer T; readonly body: infer B }
  ? { readonly type: T; readonly body: B }
  : never;
/** A message without its head. */
export type PhoneWords = ContentOf<PhoneMessage>;

export interface NewCode {
  /** The hub's own limits when absent. */
  readonly capMinor?: string;
  readonly validitySec?: number;
  readonly currency?: Currency;
}

/** What the phone holds up. */
export interface ShownCode {
  /** `OF1:…`, for a QR code. */
  readonly text: string;
  readonly grantId: string;
  readonly expiresAt: string;
  readonly capMinor: string;
  readonly currency: string;
}

const SECURE_CODE_BYTES = 16;
const POLLS_MAX = 20;

export class Phone {
  readonly identity: PhoneIdentity;
  readonly #options: PhoneOptions;
  #state: PhoneState;
  /** With no network, whatever the network says. */
  offline = false;

  constructor(options: PhoneOptions) {
    this.#options = options;
    this.identity = options.identity;
    this.#state = options.state ?? NEW_PHONE;
  }

  get state(): PhoneState {
    return this.#state;
  }

  /** Exactly what leaves the phone. */
  sign(words: PhoneWords): { readonly id: string; readonly signed: Signed } {
    const { clock, random, keys } = this.#options;
    const { deviceId } = this.identity;
    const id = newMessageId(random);
    const message = { v: 1, deviceId, id, at: new Date(clock.now()).toISOString(), ...words };
    return { id, signed: signText("phone", JSON.stringify(message), keys.privateKey) };
  }

  /** Throws Fault `uplink.down` while offline, what the transport throws, and `message.invalid` for no answer of a hub. */
  async say(words: PhoneWords): Promise<PhoneAnswer> {
    if (this.offline) throw new Fault("uplink.down", "the phone has no network");
    const { id, signed } = this.sign(words);
    const parsed = PhoneAnswerSchema.safeParse(await this.#options.transport(signed));
    if (!parsed.success) throw new Fault("message.invalid", `the hub's answer: ${firstIssue(parsed.error)}`);
    if (parsed.data.replyTo !== id) throw new Fault("message.invalid", "the hub's answer is to another message");
    return parsed.data;
  }

  /**
   * Makes a code and lets the hub register it (R1). When no answer comes the code is kept and `settle` asks again. Throws
   * Fault `uplink.refused` when the hub says no.
   */
  async register({ capMinor, validitySec, currency = currencyOf("EUR") }: NewCode = {}): Promise<FirstApproval> {
    if (this.offline) throw new Fault("uplink.down", "the phone has no network; a code is made before it is needed");
    const { clock, random } = this.#options;
    const code: PhoneCode = {
      secureCode: secureCodeText(random(SECURE_CODE_BYTES)),
      accountRef: this.identity.accountRef,
      currency,
      madeAt: new Date(clock.now()).toISOString(),
      ...(capMinor === undefined ? {} : { capMinor }),
      ...(validitySec === undefined ? {} : { validitySec }),
    };
    this.#set({ codes: [...this.#state.codes, code].slice(-CODES_KEPT_MAX) });
    return await this.#registerAt(code);
  }

  /** Says again what no answer came to. */
  async settle(): Promise<void> {
    for (const code of this.#state.codes.filter(({ approval }) => approval === undefined)) {
      try {
        await this.#registerAt(code);
      } catch (error) {
        if (!isFault(error, "uplink.refused")) throw error;
      }
    }
  }

  async #registerAt(code: PhoneCode): Promise<FirstApproval> {
    const { deviceId, userId } = this.identity;
    const { madeAt: _, approval: __, ...registered } = code;
    const answer = await this.say({ type: "authorisation-request", body: { userId, deviceId, ...registered } });
    if (answer.type === "first-approval") {
      this.#replace(code, { ...code, approval: answer.body });
      return answer.body;
    }
    this.#replace(code);
    const why = answer.type === "refused" ? `${answer.body.reason}: ${answer.body.detail}` : `a ${answer.type}`;
    throw new Fault("uplink.refused", `the hub registers no code: ${why}`);
  }

  /** The codes that may still pay, as far as this phone knows, in the order in which they were made. */
  usable(): readonly ShownCode[] {
    const now = this.#options.clock.now();
    return this.#state.codes.flatMap((code) => {
      const { approval, currency } = code;
      if (approval?.status !== "ISSUED") return [];
      const expiresAt = Date.parse(approval.expiresAt);
      if (expiresAt < now) return [];
      const text = preAuthorisedCodeText({ userId: this.identity.userId, secureCode: code.secureCode, expiresAt });
      return [
        { text, currency, grantId: approval.grantId, expiresAt: approval.expiresAt, capMinor: approval.capMinor },
      ];
    });
  }

  /** From memory alone. Throws Fault `identity.missing` when there is none to show. */
  show(): ShownCode {
    const [first] = this.usable();
    if (first) return first;
    throw new Fault("identity.missing", "no code of this phone can pay; go online and register one");
  }

  /** Its user paid with it: it is not shown again, whether or not the hub has told yet. */
  markSpent(grantId: string): void {
    this.#setStatus(grantId, "USED");
  }

  /** What was paid and taken back since the last time, of all that happened while the phone could not be told. */
  async fetchNotices(): Promise<readonly PostedNotice[]> {
    const fresh: PostedNotice[] = [];
    for (let poll = 0; poll < POLLS_MAX; poll += 1) {
      const since = this.#state.notices.at(-1)?.number ?? 0;
      const answer = await this.say({ type: "notices", body: { since } });
      if (answer.type !== "notices")
        throw new Fault("message.invalid", `asked for notices, the hub gave ${answer.type}`);
      const later = answer.body.notices.filter(({ number }) => number > since);
      fresh.push(...later);
      this.#set({ notices: [...this.#state.notices, ...later].slice(-NOTICES_KEPT_MAX) });
      for (const { grantId, status } of later)
        if (grantId !== undefined) this.#setStatus(grantId, status === "paid" ? "USED" : "ISSUED");
      if (!answer.body.more || later.length === 0) break;
    }
    return fresh;
  }

  #setStatus(grantId: string, status: FirstApproval["status"]): void {
    const code = this.#state.codes.find(({ approval }) => approval?.grantId === grantId);
    if (code?.approval) this.#replace(code, { ...code, approval: { ...code.approval, status } });
  }

  /** Without a successor it is forgotten. */
  #replace(code: PhoneCode, successor?: PhoneCode): void {
    const { secureCode } = code;
    this.#set({
      codes: this.#state.codes.flatMap((one) => (one.secureCode !== secureCode ? [one] : successor ? [successor] : [])),
    });
  }

  #set(changes: Partial<PhoneState>): void {
    const state = { ...this.#state, ...changes };
    this.#options.save?.(state);
    this.#state = state;
  }
}
