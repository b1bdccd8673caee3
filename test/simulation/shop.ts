/** A simulated shop: one hub, some terminals, their customers, and tills that ask again until they are told. */
import { createSecretKey } from "node:crypto";
import type { AgentCore } from "../../agent/agent-core.ts";
import type { Identity } from "../../agent/identity.ts";
import type { Boot } from "../../agent/lease/hub-clock.ts";
import { assert } from "../../base/assert.ts";
import { reasonOf } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import { currencyOf, money } from "../../base/money.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { HubCore, HubPolicy } from "../../hub/hub-core.ts";
import type { HubKeys } from "../../hub/keys.ts";
import { SealingRing, sealingGeneration, sealingKeysOf } from "../../hub/sealing-ring.ts";
import { TEST_ISSUER_MASTER_KEY } from "../../sim/card/profiles.ts";
import type { SimulatedDisk } from "../../sim/world/disk.ts";
import type { NodeContext, WorldNode } from "../../sim/world/node.ts";
import { createWorld, type World } from "../../sim/world/world.ts";
import { publicKeyText, type SigningKeys } from "../../wire/signing.ts";
import { Counter } from "./counter.ts";
import { CARD_BIN, Customer } from "./customers.ts";
import { sealingKey, signingKeys } from "./fixture-keys.ts";
import { type Frame, garble } from "./frames.ts";
import { HUB, hubNode } from "./hub-node.ts";
import { ShopPhone } from "./phones.ts";
import type { Plan } from "./plan.ts";
import { terminalNode } from "./terminal-node.ts";

const EUR = currencyOf("EUR");
const OPENING_BALANCE = 50_000n;
const CLAIM_VALID_MS = 3_600_000;
const FREE_BYTES = 10_000_000_000;
/** Between the end of a program and its next start by its supervisor. */
const RESTART_MS = { least: 500, most: 30_000 };

const POLICY: Omit<HubPolicy, "leaseOf"> = {
  merchantId: "shop",
  holdMs: 7 * 24 * 3_600_000,
  riskParties: { offline: "operator", declined: "merchant" },
  issuing: [
    {
      bin: CARD_BIN,
      issuerMasterKey: TEST_ISSUER_MASTER_KEY,
      derivation: "A",
      cryptogramVersion: 18,
      arpcMethod: 1,
    },
  ],
};

/** One terminal of the shop, through all its lives. */
export class Terminal {
  readonly identity: Identity;
  readonly id: TerminalId;
  readonly node: WorldNode;
  readonly counter: Counter;
  /** Of the life that runs now. */
  core: AgentCore | undefined;
  freeBytes = () => FREE_BYTES;
  /** Its disk was replaced by an older copy of itself. */
  restored = false;
  /** Its disk was replaced by an empty one. */
  renewed = false;
  /** There are two of its disk, and both sell. */
  forked = false;
  /** Its machine dies in this change to its disk, counted from the next message about money that it sends; 0 for never. */
  diesAtChange = 0;
  readonly #ended = new Set<() => void>();

  constructor(identity: Identity, node: WorldNode, counter: Counter) {
    this.identity = identity;
    this.id = identity.terminalId;
    this.node = node;
    this.counter = counter;
  }

  /** What it says may contradict what it said, or what its double says. */
  get twisted(): boolean {
    return this.restored || this.forked;
  }

  /** True when its machine will die of what it does next. */
  sent(frame: Frame): boolean {
    if (this.diesAtChange === 0 || frame.frame !== "up" || frame.text.includes('"type":"presence"')) return false;
    this.node.volume.setFaults({ crashAtChange: this.diesAtChange });
    this.diesAtChange = 0;
    return true;
  }

  over(): void {
    this.core = undefined;
    for (const tell of [...this.#ended]) tell();
    this.#ended.clear();
  }

  /** Resolves when the life that runs now is over. */
  lifeEnds(): Promise<undefined> {
    return new Promise((resolve) => this.#ended.add(() => resolve(undefined)));
  }
}

export class Shop implements Disposable {
  readonly world: World;
  readonly plan: Plan;
  readonly terminals: Terminal[] = [];
  readonly customers: readonly Customer[];
  /** The hub's account of each customer. */
  readonly accounts: string[] = [];
  readonly phones: ShopPhone[] = [];
  /** The hub's disk was replaced by an older copy of itself. */
  hubRestored = false;
  readonly refused = new Map<string, number>();
  /** Messages of one kind that do not reach a node just now. */
  readonly lost = new Map<string, string>();
  hub: HubCore | undefined;
  hubDatabase: Sqlite | undefined;
  readonly #keys: HubKeys;

  constructor(options: {
    readonly seed: string;
    readonly disk: SimulatedDisk;
    readonly makePlan: (world: World) => Plan;
  }) {
    this.world = createWorld({ ...options, corrupt: garble });
    this.plan = options.makePlan(this.world);
    this.customers = Array.from({ length: this.plan.customers }, (_, number) => new Customer(number));
    const random = this.world.chance.stream("hub keys").bytes;
    this.#keys = {
      signing: signingKeys(random),
      sealing: new SealingRing([sealingGeneration(1, sealingKeysOf(sealingKey(random)))]),
      tokenKey: random(32),
    };
    this.world.onNode((node, state, why) => this.#nodeIs(node, state, why));
  }

  /** Starts the hub, opens the accounts, enrols and starts the terminals, and waits until all are connected. */
  async open(): Promise<void> {
    const { world, plan } = this;
    world.spawn(
      HUB,
      hubNode({
        keys: this.#keys,
        policy: {
          ...POLICY,
          leaseOf: () => ({ ...plan.lease, currency: EUR, means: ["chip", "note"], deferredAuthorisation: false }),
        },
        remembered: (from) => this.#remembered(from),
        listeners: (from) => this.#listeners(from),
        isLost: (to, type) => this.lost.get(to) === type,
        taken: plan.classes.has("broker") ? "on-arrival" : "when-stored",
        onCore: (core, database) => {
          this.hub = core;
          this.hubDatabase = database;
        },
        onUnseen: () => world.count("broker.acknowledged-unseen"),
        onRefused: ({ code }) => this.refused.set(code, (this.refused.get(code) ?? 0) + 1),
      }),
    );
    await world.run(() => this.hub !== undefined, world.now + 60_000);
    await world.drive(() => this.#openAccounts());
    for (let number = 0; number < plan.terminals; number += 1) await this.#enrol(number);
    await world.run(() => this.terminals.every(({ core }) => core?.link.hub.state === "up"), world.now + 60_000);
  }

  readonly #sessions = new Map<string, Frame[]>();

  #remembered(from: string): Frame[] {
    const id = this.terminals.find(({ node }) => node.name === from)?.id;
    if (id === undefined || !this.plan.classes.has("broker")) return [];
    const session = this.#sessions.get(id) ?? [];
    this.#sessions.set(id, session);
    return session;
  }

  #listeners(from: string): readonly string[] {
    const speaker = this.terminals.find(({ node }) => node.name === from);
    return this.terminals.filter(({ id }) => id === speaker?.id).map(({ node }) => node.name);
  }

  async #openAccounts(): Promise<void> {
    const { hub } = this;
    assert(hub !== undefined, "accounts are opened while the hub runs");
    for (const { pan, expiry } of this.customers) {
      const customer = { pan, expiry, balance: money(OPENING_BALANCE, "EUR") };
      const opened = await hub.store.transaction((within) => hub.authorisation.openAccount(within, customer));
      assert(opened.ok, "a new customer has no account yet");
      this.accounts.push(opened.value.id);
    }
    for (const [number, accountId] of this.accounts.entries()) this.phones.push(await this.#phone(number, accountId));
  }

  async #phone(number: number, accountId: string): Promise<ShopPhone> {
    const { world, hub, plan } = this;
    assert(hub !== undefined, "phones are enrolled while the hub runs");
    const name = `customer-${number}`;
    const options = {
      world,
      name,
      keys: signingKeys(world.chance.stream(`keys of ${name}`).bytes),
      chance: world.chance.stream(`phone of ${name}`),
      hub: () => this.hub,
      loss: plan.classes.has("loss") ? 0.2 : 0,
    };
    const phone = await ShopPhone.enrol(options, hub, accountId);
    phone.begin();
    return phone;
  }

  async #enrol(number: number): Promise<void> {
    const { world } = this;
    const id = `till-${number}` as TerminalId;
    const keys = signingKeys(world.chance.stream(`keys of ${id}`).bytes);
    const identity = await world.drive(() => this.#identityOf(id, keys));
    this.#spawn(identity, id);
  }

  /** A thief's copy of a terminal: the same disk, the same keys, another machine. */
  clone(original: Terminal): Terminal {
    const copy = this.#spawn(original.identity, `${original.id}-copy`);
    original.node.volume.snapshot("stolen");
    copy.node.volume.restore("stolen", original.node.volume);
    original.forked = true;
    copy.forked = true;
    this.world.count("terminal.cloned");
    return copy;
  }

  #spawn(identity: Identity, name: string): Terminal {
    const { world } = this;
    const counter = new Counter(world.chance.stream(`counter of ${name}`), (fault) => world.count(fault));
    const node = world.spawn(
      name,
      terminalNode({
        identity,
        counter,
        boot: (context) => this.#bootOf(context),
        freeBytes: () => terminal.freeBytes(),
        onSent: (frame) => {
          if (terminal.sent(frame)) world.count("terminal.crash-after-send");
        },
        onCore: (core) => {
          terminal.core = core;
        },
        // Not in the midst of the program's own call.
        exit: (why) => {
          world.trace.record("exit", `${name} ${reasonOf(why)}`);
          world.timeline.after(0, () => terminal.node.crash("process"));
        },
      }),
    );
    const terminal = new Terminal(identity, node, counter);
    this.terminals.push(terminal);
    return terminal;
  }

  async #identityOf(terminalId: TerminalId, keys: SigningKeys): Promise<Identity> {
    const { hub } = this;
    assert(hub !== undefined, "the hub runs while terminals are enrolled");
    const enrolled = await hub.store.transaction(async (within) => {
      const claim = await hub.terminals.createClaim(within, { terminalId, validMs: CLAIM_VALID_MS });
      return await hub.terminals.enrol(within, { ...claim, signingKey: publicKeyText(keys.publicKey) });
    });
    assert(enrolled.ok, "a fresh claim enrols");
    const { keyId, publicKey } = hub.sealingKey;
    return {
      terminalId,
      caCertificate: "",
      mqttUrl: "mqtts://127.0.0.1",
      httpsUrl: "https://127.0.0.1",
      hubSigningKey: hub.signingKey,
      sealingKey: { keyId, publicKey },
      cardTokenKey: createSecretKey(enrolled.value.cardTokenKey),
      signingKey: keys.privateKey,
    };
  }

  readonly #boots = new Map<string, { id: string; beganMs: number }>();

  /** A machine that was cut off its power has booted since; one whose process was killed has not. */
  #bootOf({ name }: NodeContext): Boot {
    const { world } = this;
    const boot = this.#boots.get(name) ?? { id: `${name}-boot-${world.now}`, beganMs: world.now };
    this.#boots.set(name, boot);
    return { id: boot.id, uptimeMs: () => world.now - boot.beganMs };
  }

  #nodeIs(node: WorldNode, state: string, why: string): void {
    if (state !== "crashed" && state !== "failed") return;
    if (node.name === HUB) this.hub = undefined;
    this.terminals.find((terminal) => terminal.node === node)?.over();
    if (state === "crashed" && why !== "process") this.#boots.delete(node.name);
    const chance = this.world.chance.stream("restarts");
    this.world.timeline.after(chance.between(RESTART_MS.least, RESTART_MS.most), () => {
      if (node.state === "crashed" || node.state === "failed") node.start();
    });
  }

  [Symbol.dispose](): void {
    this.world[Symbol.dispose]();
  }
}
