/** A customer's phone as a process: a folder for its memory, HTTPS to its hub, a control socket for its user's hands. */

import { createPublicKey } from "node:crypto";
import { systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { systemRandom } from "../../base/ids.ts";
import { currencyOf, parseDecimal, toDecimal } from "../../base/money.ts";
import { newSigningKeys, privateKeyText, publicKeyText, readPrivateKey, readPublicKey } from "../../wire/signing.ts";
import { type ControlAnswer, type ControlCommand, type ControlHandlers, serveControl } from "../control.ts";
import { openPhoneFolder, type PhoneFolder, type PhoneIdentityFile } from "./folder.ts";
import { enrol, say } from "./hub-door.ts";
import { createNoteWallet, type NoteWallet } from "./notes.ts";
import { Phone } from "./phone.ts";
import { screenSvg } from "./screen.ts";

export interface PhoneSimOptions {
  /** Its folder; what is there from earlier is used. */
  readonly state: string;
  readonly control: string;
  /** Begins without a network. */
  readonly offline?: boolean;
  /** What the phone shows to a scanner. */
  onScreen?(text: string): void;
}

export interface PhoneSim extends AsyncDisposable {
  status(): ControlAnswer;
}

const DEFAULT_CURRENCY = "EUR";

interface Owned {
  readonly phone: Phone;
  readonly wallet: NoteWallet;
}

export async function startPhoneSim(options: PhoneSimOptions): Promise<PhoneSim> {
  const hands = new Hands(options);
  const server = await serveControl(options.control, hands.handlers());
  return { status: () => hands.status(), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** What a user does with the phone, one method for each command. */
class Hands {
  readonly #options: PhoneSimOptions;
  readonly #folder: PhoneFolder;
  #owned: Owned | undefined;
  #offline: boolean;

  constructor(options: PhoneSimOptions) {
    this.#options = options;
    this.#folder = openPhoneFolder(options.state);
    this.#offline = options.offline ?? false;
    const identity = this.#folder.identity();
    if (identity) this.#own(identity);
  }

  handlers(): ControlHandlers {
    return {
      enrol: (command) => this.#enrol(textOf(command, "claim")),
      register: (command) => this.#register(command),
      show: () => this.#show(),
      spent: () => this.#spent(),
      online: () => this.#online(),
      offline: () => this.#setOffline(true),
      notices: () => this.#notices(),
      allowance: (command) => this.#allowance(command),
      pay: (command) => this.#pay(textOf(command, "challenge")),
      "give-back": () => this.#giveBack(),
      status: () => this.status(),
    };
  }

  status(): ControlAnswer {
    if (!this.#owned) return { enrolled: false, offline: this.#offline };
    const { phone, wallet } = this.#owned;
    const codes = phone.usable().map(({ text: _, ...code }) => code);
    return { enrolled: true, offline: this.#offline, ...phone.identity, codes, notesMinor: String(wallet.left()) };
  }

  #own(identity: PhoneIdentityFile): void {
    const privateKey = readPrivateKey(identity.privateKey);
    const { deviceId, userId, accountRef } = identity;
    const phone = new Phone({
      keys: { privateKey, publicKey: createPublicKey(privateKey) },
      identity: { deviceId, userId, accountRef },
      clock: systemClock,
      random: systemRandom,
      transport: (signed) => say({ ...identity, clock: systemClock }, signed),
      state: this.#folder.state(),
      save: (state) => this.#folder.saveState(state),
    });
    phone.offline = this.#offline;
    const hubSigningKey = readPublicKey(identity.hubSigningKey);
    const wallet = createNoteWallet({ payerKey: privateKey, hubSigningKey, store: this.#folder.wallet });
    this.#owned = { phone, wallet };
  }

  get #mine(): Owned {
    if (this.#owned) return this.#owned;
    throw new Fault(
      "identity.missing",
      "this phone is not enrolled; let the operator make a claim, then: enrol claim=tp1.…",
    );
  }

  async #enrol(claim: string): Promise<ControlAnswer> {
    if (this.#owned) throw new Fault("identity.invalid", "this phone is enrolled already; begin with a new folder");
    const keys = newSigningKeys();
    const answer = await enrol(claim, publicKeyText(keys.publicKey), systemClock);
    const identity = { v: 1 as const, ...answer, privateKey: privateKeyText(keys.privateKey) };
    this.#folder.saveIdentity(identity);
    this.#own(identity);
    return this.status();
  }

  async #register(command: ControlCommand): Promise<ControlAnswer> {
    const currency = currencyOf(String(command["currency"] ?? DEFAULT_CURRENCY));
    const { cap, ttl } = command;
    return await this.#mine.phone.register({
      currency,
      ...(cap === undefined ? {} : { capMinor: parseDecimal(String(cap), currency).minor.toString() }),
      ...(ttl === undefined ? {} : { validitySec: Number(ttl) }),
    });
  }

  #show(): ControlAnswer {
    const shown = this.#mine.phone.show();
    return { ...shown, svg: this.#screen(shown.text) };
  }

  #spent(): ControlAnswer {
    const { phone } = this.#mine;
    const { grantId } = phone.show();
    phone.markSpent(grantId);
    return { grantId };
  }

  #setOffline(offline: boolean): ControlAnswer {
    this.#offline = offline;
    if (this.#owned) this.#owned.phone.offline = offline;
    return { offline };
  }

  async #online(): Promise<ControlAnswer> {
    this.#setOffline(false);
    await this.#mine.phone.settle();
    return await this.#notices();
  }

  /** Without a network those that are here already. */
  async #notices(): Promise<ControlAnswer> {
    const { phone } = this.#mine;
    const fresh = phone.offline ? [] : await phone.fetchNotices();
    return { offline: phone.offline, fresh, notices: phone.state.notices };
  }

  async #allowance(command: ControlCommand): Promise<ControlAnswer> {
    const { phone, wallet } = this.#mine;
    const currency = currencyOf(String(command["currency"] ?? DEFAULT_CURRENCY));
    const body = wallet.ask(parseDecimal(textOf(command, "amount"), currency), systemRandom);
    const answer = await phone.say({ type: "allowance-request", body });
    if (answer.type !== "allowance") {
      wallet.refused();
      throw refusalOf(answer);
    }
    wallet.hold(answer.body.allowance);
    const { allowance: _, ...granted } = answer.body;
    return granted;
  }

  /** Answers the challenge that a terminal shows; the user has read what it asks for. */
  #pay(challenge: string): ControlAnswer {
    const { wallet } = this.#mine;
    const { amount, payee, terminalId } = wallet.read(challenge);
    const text = wallet.answer(challenge);
    const asked = { amount: toDecimal(amount), currency: amount.currency, payee, terminalId };
    return { ...asked, text, leftMinor: String(wallet.left()), svg: this.#screen(text) };
  }

  async #giveBack(): Promise<ControlAnswer> {
    const { phone, wallet } = this.#mine;
    const body = wallet.statement();
    if (!body) throw new Fault("identity.missing", "the phone holds no allowance");
    const answer = await phone.say({ type: "allowance-return", body });
    if (answer.type !== "allowance-returned") throw refusalOf(answer);
    wallet.drop();
    return answer.body;
  }

  #screen(text: string): string {
    this.#options.onScreen?.(text);
    return this.#folder.saveScreen(screenSvg(text));
  }
}

const refusalOf = (answer: { readonly type: string; readonly body: unknown }): Fault =>
  new Fault("uplink.refused", `the hub says no: ${JSON.stringify(answer.body)}`);

function textOf(command: ControlCommand, field: string): string {
  const value = command[field];
  if (value === undefined) throw new Fault("codec.invalid", `${command.do} needs ${field}=…`);
  return String(value);
}
