/** A card issuer on TCP: the host that a hub's link reaches, with books of its own and the faults of real ones. */
import { createServer, type Server } from "node:net";
import { type Clock, systemClock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import { type RandomBytes, systemRandom } from "../../base/ids.ts";
import { createIso8583Codec } from "../../protocols/iso8583/codec.ts";
import { withPaymentReference } from "../../protocols/iso8583/payment-reference.ts";
import type { MessageSpec } from "../../protocols/iso8583/spec.ts";
import { SPEC_1987_ASCII } from "../../protocols/iso8583/specs.ts";
import { type ControlCommand, type ControlHandlers, serveControl } from "../control.ts";
import { BookFile } from "./book-file.ts";
import { Books } from "./books.ts";
import { Caller, type CallerCount, type Desk } from "./caller.ts";
import { FAULT_COMMANDS, type Faults, WELL } from "./faults.ts";
import { type HostCount, IssuerHost } from "./host.ts";
import { accountOf, type NewAccount } from "./new-account.ts";
import { booksView } from "./views.ts";

export interface IssuerSimOptions {
  /** 0 for any that is free. */
  readonly port: number;
  /** 127.0.0.1 when absent. */
  readonly host?: string;
  /** Unix socket for commands; none when absent. */
  readonly control?: string;
  /** As 1987 has it, in characters, when absent. */
  readonly spec?: MessageSpec;
  /** Keeps the books; without it each start begins with empty ones. */
  readonly booksFile?: string;
  readonly accounts?: readonly NewAccount[];
  /** Cards that are not known get an account with so much. */
  readonly openMinor?: bigint;
  readonly clock?: Clock;
  readonly random?: RandomBytes;
}

export interface IssuerStatus {
  readonly port: number;
  readonly connections: number;
  readonly signedOn: number;
  readonly faults: Faults;
  readonly counts: Readonly<Record<string, number>>;
}

export interface IssuerSim extends AsyncDisposable {
  readonly port: number;
  readonly books: Books;
  status(): IssuerStatus;
  /** Sets what is named and leaves the rest. */
  break(faults: Partial<Faults>): Promise<void>;
  /** Everything well, signed on again. */
  clear(): Promise<void>;
  openAccount(account: NewAccount): void;
}

/** Up when it resolves: it listens and the control socket answers. */
export async function startIssuerSim(options: IssuerSimOptions): Promise<IssuerSim> {
  const sim = new TcpIssuer(options);
  try {
    await sim.listen();
    if (options.control !== undefined) sim.served(await serveControl(options.control, handlersOf(sim)));
    return sim;
  } catch (error) {
    await sim[Symbol.asyncDispose]();
    throw error;
  }
}

class TcpIssuer implements IssuerSim {
  readonly books: Books;
  readonly #options: IssuerSimOptions;
  readonly #file: BookFile | undefined;
  readonly #desk: Desk;
  readonly #callers = new Set<Caller>();
  readonly #counts = new Map<string, number>();
  #server: Server | undefined;
  #control: AsyncDisposable | undefined;
  #faults = WELL;
  #port: number;

  constructor(options: IssuerSimOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#file = options.booksFile === undefined ? undefined : new BookFile(options.booksFile);
    this.books = new Books((record) => this.#file?.add(record));
    for (const record of this.#file?.read() ?? []) this.books.load(record);
    this.#file?.begin(this.books.records());
    for (const account of options.accounts ?? []) if (!this.books.account(account.pan)) this.openAccount(account);
    this.#desk = this.#newDesk(options);
  }

  get port(): number {
    return this.#port;
  }

  served(control: AsyncDisposable): void {
    this.#control = control;
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => {
      const caller = new Caller(socket, this.#desk);
      this.#callers.add(caller);
      socket.on("close", () => this.#callers.delete(caller));
    });
    const { host = "127.0.0.1" } = this.#options;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(new Fault("transport.failed", reasonOf(error))));
      server.listen({ host, port: this.#port }, resolve);
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) this.#port = address.port;
    this.#server = server;
  }

  status(): IssuerStatus {
    return {
      port: this.#port,
      connections: this.#callers.size,
      signedOn: [...this.#callers].filter(({ signedOn }) => signedOn).length,
      faults: this.#faults,
      counts: Object.fromEntries(this.#counts),
    };
  }

  async break(faults: Partial<Faults>): Promise<void> {
    const before = this.#faults;
    this.#faults = { ...before, ...faults };
    const { down, signedOff } = this.#faults;
    if (signedOff !== before.signedOff) {
      for (const caller of this.#callers) caller.notify(signedOff ? "sign-off" : "sign-on");
    }
    for (const caller of this.#callers) caller.soil();
    if (down && !before.down) await this.#hangUp();
    if (!down && before.down) await this.listen();
  }

  async clear(): Promise<void> {
    await this.break(WELL);
  }

  openAccount({ pan, ...content }: NewAccount): void {
    if (!this.books.setAccount(pan, content))
      throw new Fault("queue.full", "the books have as many accounts as they may");
    this.#file?.save();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    await this.#hangUp();
    this.#file?.[Symbol.dispose]();
  }

  async #hangUp(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const caller of this.#callers) caller.drop();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  #newDesk({ clock = systemClock, random = systemRandom, openMinor, spec = SPEC_1987_ASCII }: IssuerSimOptions): Desk {
    const { books } = this;
    const { version } = spec;
    const count = (what: HostCount | CallerCount) => this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
    const policy = () => ({ ...this.#faults, openMinor });
    return {
      host: new IssuerHost({ books, version, clock, policy, count }),
      codec: createIso8583Codec(withPaymentReference(spec)),
      version,
      clock,
      random,
      count,
      faults: () => this.#faults,
      loses: () => {
        const { lose } = this.#faults;
        if (lose > 0) this.#faults = { ...this.#faults, lose: lose - 1 };
        return lose > 0;
      },
      save: () => this.#file?.save(),
    };
  }
}

/** What the control socket takes. */
function handlersOf(sim: TcpIssuer): ControlHandlers {
  const breaking = Object.entries(FAULT_COMMANDS).map(([name, faultsOf]) => {
    const handle = async (command: ControlCommand) => {
      await sim.break(faultsOf(command));
      return {};
    };
    return [name, handle] as const;
  });
  return {
    ...Object.fromEntries(breaking),
    clear: async () => {
      await sim.clear();
      return {};
    },
    account: (command) => {
      sim.openAccount(accountOf(String(command["is"] ?? "")));
      return {};
    },
    books: () => ({ ...booksView(sim.books) }),
    status: () => ({ ...sim.status() }),
  };
}
