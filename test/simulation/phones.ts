/** Customers' phones in a simulated shop: they prepare while they have a network, and pay without one. */
import { Fault, isFault } from "../../base/fault.ts";
import { currencyOf, money } from "../../base/money.ts";
import type { HubCore } from "../../hub/hub-core.ts";
import { createNoteWallet, memoryStore, type NoteWallet } from "../../sim/phone/notes.ts";
import { Phone, type PhoneIdentity } from "../../sim/phone/phone.ts";
import type { ChanceStream } from "../../sim/world/chance.ts";
import type { World } from "../../sim/world/world.ts";
import { publicKeyText, type Signed, type SigningKeys } from "../../wire/signing.ts";

const EUR = currencyOf("EUR");
const CLAIM_VALID_MS = 3_600_000;
/** Minor units that a phone puts aside for paying with both sides offline. */
const ALLOWANCE = money(4_000n, "EUR");
const CODE_CAP = "6000";
/** A phone looks for its hub as often as this. */
const PREPARE_EVERY_MS = 480_000;
/** And at every so manieth look it asks what was paid and taken back. */
const NOTICES_EVERY = 2;
const ANSWER_WITHIN_MS = 10_000;

export interface ShopPhoneOptions {
  readonly world: World;
  readonly name: string;
  readonly keys: SigningKeys;
  readonly chance: ChanceStream;
  /** The hub as it stands now, if it does. */
  readonly hub: () => HubCore | undefined;
  /** How likely a message or its answer is lost. */
  readonly loss: number;
}

export class ShopPhone {
  readonly phone: Phone;
  /** What the phone pays notes from; after a theft there are two of it. */
  readonly wallets: NoteWallet[];
  readonly #options: ShopPhoneOptions;
  #looks = 0;

  /** At a hub that runs. */
  static async enrol(options: ShopPhoneOptions, hub: HubCore, accountId: string): Promise<ShopPhone> {
    const { name, keys } = options;
    const enrolled = await hub.store.transaction(async (within) => {
      const claim = await hub.payers.createClaim(within, { userId: name, accountId, validMs: CLAIM_VALID_MS });
      return await hub.payers.enrol(within, { ...claim, publicKey: publicKeyText(keys.publicKey) });
    });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    const { deviceId } = enrolled.value;
    return new ShopPhone(options, hub, { deviceId, userId: name, accountRef: accountId });
  }

  private constructor(options: ShopPhoneOptions, hub: HubCore, identity: PhoneIdentity) {
    this.#options = options;
    const { world, keys, chance } = options;
    this.phone = new Phone({
      keys,
      identity,
      clock: {
        now: () => WALL_BEGAN + world.now,
        monotonic: () => world.now,
        after: (ms, call) => world.timeline.after(ms, call),
      },
      random: chance.bytes,
      transport: (signed) => this.#exchange(signed),
    });
    const store = memoryStore();
    this.wallets = [createNoteWallet({ payerKey: keys.privateKey, hubSigningKey: hub.signingKey, store })];
  }

  /** From now on, whenever there is a network: keeps a code registered and an allowance at hand. */
  begin(): void {
    this.#options.world.timeline.after(this.#options.chance.between(0, PREPARE_EVERY_MS), () => {
      void this.#prepare().then(() => this.begin());
    });
  }

  /** The code that is shown, if there is one. */
  code(): { readonly text: string; readonly grantId: string } | undefined {
    return this.phone.usable()[0];
  }

  /** The note that answers a challenge, if there is value left. */
  note(challenge: string): string | undefined {
    const wallet = this.#options.chance.pick(this.wallets);
    try {
      return wallet.answer(challenge);
    } catch (error) {
      if (isFault(error)) return undefined;
      throw error;
    }
  }

  /** A thief has key and state. */
  clone(): void {
    const [first] = this.wallets;
    if (first) this.wallets.push(first.clone());
    this.#options.world.count("phone.cloned");
  }

  async #prepare(): Promise<void> {
    try {
      await this.phone.settle();
      this.#looks += 1;
      if (this.#looks % NOTICES_EVERY === 0) await this.phone.fetchNotices();
      if (!this.code()) await this.phone.register({ capMinor: CODE_CAP, currency: EUR });
      await this.#askAllowance();
    } catch (error) {
      // Out of reach, or refused: it tries again later.
      if (!isFault(error)) throw error;
    }
  }

  async #askAllowance(): Promise<void> {
    const [wallet] = this.wallets;
    if (!wallet || wallet.left() > 0n) return;
    const answer = await this.phone.say({
      type: "allowance-request",
      body: wallet.ask(ALLOWANCE, this.#options.chance.bytes),
    });
    if (answer.type === "allowance") wallet.hold(answer.body.allowance);
    else wallet.refused();
  }

  async #exchange(signed: Signed): Promise<unknown> {
    const { world, chance, hub, loss } = this.#options;
    const core = hub();
    if (!core || chance.happens(loss)) throw new Fault("uplink.down", "the hub cannot be reached");
    const late = new Promise<never>((_, reject) => {
      world.timeline.after(ANSWER_WITHIN_MS, () => reject(new Fault("uplink.timeout", "the hub does not answer")));
    });
    const answer = await Promise.race([core.receivePhone(signed), late]);
    if (chance.happens(loss)) throw new Fault("uplink.timeout", "the answer was lost");
    return answer;
  }
}

/** What `createWorld` sets clocks to when it is not told. */
const WALL_BEGAN = Date.UTC(2026, 0, 5, 9, 0, 0);
