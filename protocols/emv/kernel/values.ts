/** The terminal's own data objects for data object lists (Book 3, Annex A1), as they stand when an application is selected. */
import { concat, fromHex } from "../../../base/bytes.ts";
import type { Tag } from "../ber-tlv.ts";
import { encodeNumeric } from "../numeric.ts";
import type { TerminalSettings, TransactionSettings } from "./kernel.ts";
import type { SelectedApplication } from "./selection.ts";

/** POS Entry Mode, tag 9F39, first two digits of ISO 8583 DE 22 (1987): read from a chip, or from a chip without contact. */
const ENTRY_MODE = { contact: 0x05, contactless: 0x07 } as const;
const CVM_NOT_PERFORMED = fromHex("3F0000");

export interface ValueSources {
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
  readonly selected: SelectedApplication;
  /** Under 95 and 9B in the values too, so that a list always carries them as they stand. */
  readonly tvr: Uint8Array;
  readonly tsi: Uint8Array;
}

export function terminalValues({ terminal, settings, selected, tvr, tsi }: ValueSources): Map<Tag, Uint8Array> {
  const { application, aid } = selected;
  const { today } = settings;
  const numeric = (value: bigint | number, bytes: number) => encodeNumeric(BigInt(value), bytes);
  return new Map<Tag, Uint8Array>([
    ...terminal.data,
    [0x5f2a, settings.currencyCode],
    [0x5f36, numeric(settings.currencyExponent, 1)],
    [0x81, binaryAmount(settings.amountMinor)],
    [0x95, tvr],
    [0x9a, concat(numeric(today.year % 100, 1), numeric(today.month, 1), numeric(today.day, 1))],
    [0x9b, tsi],
    [0x9c, Uint8Array.of(settings.type)],
    [0x9f02, numeric(settings.amountMinor, 6)],
    [0x9f03, numeric(settings.otherMinor, 6)],
    [0x9f04, binaryAmount(settings.otherMinor)],
    // The same as the DF name: what the card confirmed, not the terminal's partial name (Book 1, 12.4).
    [0x9f06, aid],
    [0x9f09, application.version],
    [0x9f1a, terminal.countryCode],
    [0x9f1b, binaryAmount(BigInt(application.floorLimitMinor))],
    [0x9f21, settings.time],
    [0x9f33, terminal.capabilities],
    [0x9f34, CVM_NOT_PERFORMED],
    [0x9f35, Uint8Array.of(terminal.type)],
    [0x9f37, settings.unpredictableNumber],
    [0x9f39, Uint8Array.of(ENTRY_MODE[terminal.entry])],
    [0x9f40, terminal.additionalCapabilities],
    [0x9f41, numeric(wrapped(settings.sequenceCounter), 4)],
  ]);
}

/** n 8. */
const SEQUENCE_COUNTER_MAX = 99_999_999;
/** After its greatest value the counter begins again at one; it is never zero (Book 4, 6.5.5). */
const wrapped = (counter: number): number => ((counter + SEQUENCE_COUNTER_MAX - 1) % SEQUENCE_COUNTER_MAX) + 1;

const BINARY_AMOUNT_MAX = 0xffff_ffffn;

/** Four bytes; a greater amount is their greatest value, as a card that reads no more must see no less. */
function binaryAmount(minor: bigint): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, Number(minor > BINARY_AMOUNT_MAX ? BINARY_AMOUNT_MAX : minor));
  return bytes;
}
