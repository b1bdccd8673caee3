/** A card on the table of a test: commands in, answers out, and what it would have kept. */
import { fromHex } from "../../base/bytes.ts";
import { type CommandApdu, exchange } from "../../protocols/emv/apdu.ts";
import {
  type CryptogramType,
  generateAcCommand,
  getProcessingOptionsCommand,
  type RequestedSignature,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { buildDol, dolDataLength } from "../../protocols/emv/dol.ts";
import { encodeNumeric } from "../../protocols/emv/numeric.ts";
import { type ApplicationFiles, personalise } from "./card-files.ts";
import type { CardMemory } from "./card-memory.ts";
import { type CardOptions, EmvCard } from "./emv-card.ts";
import { type CardProfile, cardProfile, TEST_AID } from "./profiles.ts";

export interface CardOnTable {
  readonly profile: CardProfile;
  readonly files: ApplicationFiles;
  readonly card: EmvCard;
  readonly savedAtcs: number[];
  readonly savedMemories: CardMemory[];
  send(command: CommandApdu): ReturnType<typeof exchange>;
  status(command: CommandApdu): Promise<number>;
  /** A command as hex; its status word, with data before it. */
  hex(command: string): Uint8Array;
  /** To the end of GET PROCESSING OPTIONS. */
  initiate(): Promise<void>;
  first(asked: CryptogramType, change?: Sale): ReturnType<typeof exchange>;
  second(asked: CryptogramType, change?: Sale): ReturnType<typeof exchange>;
}

/** What a test changes of a sale over 2.50 EUR with the unpredictable number 01020304. */
export interface Sale {
  readonly minor?: bigint;
  readonly signature?: RequestedSignature;
  readonly responseCode?: string;
  /** Tag 91, for cards that take it in CDOL2. */
  readonly issuerAnswer?: Uint8Array;
}

export const UNPREDICTABLE_NUMBER = fromHex("01020304");

export function cardOnTable(name: string, options: Partial<CardOptions> = {}): CardOnTable {
  const profile = options.profile ?? cardProfile(name);
  const [savedAtcs, savedMemories]: [number[], CardMemory[]] = [[], []];
  const card = new EmvCard({
    atc: 0,
    saveAtc: (atc) => savedAtcs.push(atc),
    saveMemory: (memory) => savedMemories.push(memory),
    ...options,
    profile,
  });
  const send = (command: CommandApdu) => exchange(async (bytes) => card.respond(bytes), command);
  const files = personalise(profile);
  const generate = (asked: CryptogramType, dol: ApplicationFiles["cdol1"], sale: Sale) =>
    send(generateAcCommand(asked, buildDol(dol, saleValues(sale)), sale.signature));
  return {
    profile,
    files,
    card,
    savedAtcs,
    savedMemories,
    send,
    status: async (command) => (await send(command)).status,
    hex: (command) => card.respond(fromHex(command)),
    async initiate() {
      await send(selectCommand(TEST_AID));
      await send(getProcessingOptionsCommand(buildDol(files.pdol, saleValues({}))));
    },
    first: (asked, change = {}) => generate(asked, files.cdol1, change),
    second: (asked, change = {}) => generate(asked, files.cdol2, change),
  };
}

const saleValues = ({ minor = 250n, responseCode = "00", issuerAnswer }: Sale): ReadonlyMap<number, Uint8Array> =>
  new Map([
    [0x8a, new Uint8Array(Buffer.from(responseCode, "latin1"))],
    [0x91, issuerAnswer ?? new Uint8Array(0)],
    [0x95, fromHex("0000008000")],
    [0x9a, fromHex("251103")],
    [0x9c, fromHex("00")],
    [0x5f2a, fromHex("0978")],
    [0x9f02, encodeNumeric(minor, 6)],
    [0x9f1a, fromHex("0276")],
    [0x9f37, UNPREDICTABLE_NUMBER],
  ]);

/** As many zero bytes as the PDOL asks for. */
export const emptyPdol = ({ files }: Pick<CardOnTable, "files">): Uint8Array =>
  new Uint8Array(dolDataLength(files.pdol));
