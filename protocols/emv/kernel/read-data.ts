/**
 * Read application data: the records that the locator names, the objects that every application must have, and what of the
 * records is signed (Book 3, 10.2, 10.3 and 7.2).
 */
import { concat, toHex } from "../../../base/bytes.ts";
import { Fault } from "../../../base/fault.ts";
import { ok, type Result } from "../../../base/result.ts";
import type { AflEntry } from "../afl.ts";
import { STATUS } from "../apdu.ts";
import { type Tag, type Tlv, tagName, wholeObjects } from "../ber-tlv.ts";
import { readRecordCommand } from "../commands.ts";
import { decodeDol, dolDataLength } from "../dol.ts";
import { decodeCompressed } from "../numeric.ts";
import { EMV_TAGS } from "../tags.ts";
import { end, isCardData, type Part, readable, reading, refused, send, templateChildren } from "./dialogue.ts";
import type { KernelEnd } from "./kernel.ts";

export interface ApplicationData {
  /** What the issuer signed of the records, one after another (10.3). */
  readonly signedRecords: Uint8Array;
  /** False: a record that takes part in authentication is no template 70, so authentication has failed (10.3). */
  readonly recordsSound: boolean;
}

/** More than any published card has; a locator that asks for more only keeps the reader busy. */
const RECORDS_MAX = 255;
/** Files of the standard; those above are the payment system's and the issuer's own (5.3.2.2). */
const STANDARD_SFI_MAX = 10;

export interface ReadDataContext {
  readonly values: Map<Tag, Uint8Array>;
  /** What the answer to GET PROCESSING OPTIONS brought, which may not come again. */
  readonly given: readonly Tag[];
  /** Works on what the records before have brought, while the card looks for the next. */
  readonly meanwhile?: () => void;
}

/** Takes the card's objects into `values`. */
export function* readApplicationData(
  afl: readonly AflEntry[],
  { values, given, meanwhile }: ReadDataContext,
): Part<ApplicationData> {
  const count = afl.reduce((sum, { firstRecord, lastRecord }) => sum + lastRecord - firstRecord + 1, 0);
  if (count > RECORDS_MAX) return end("card-error", `the AFL names ${count} records, more than ${RECORDS_MAX}`);
  const seen = new Set(given);
  const signed: Uint8Array[] = [];
  let recordsSound = true;
  for (const { sfi, record, authenticated } of recordsOf(afl)) {
    const name = `record ${record} of file ${sfi}`;
    const response = yield* send(readRecordCommand({ sfi, record }), meanwhile);
    if (response.status !== STATUS.ok) return refused(name, response);
    const children = templateChildren(response.data, 0x70);
    if (authenticated && response.data[0] !== 0x70) recordsSound = false;
    else if (!children && sfi <= STANDARD_SFI_MAX)
      return end("data-format", `${name}: not one well-formed template 70`);
    if (authenticated) signed.push(sfi <= STANDARD_SFI_MAX ? contentOf(response.data) : response.data);
    const duplicate = children && keepObjects(children, { values, seen });
    if (duplicate !== undefined) {
      return end("data-duplicate", `${name}: tag ${tagName(duplicate)} comes twice`);
    }
  }
  const complete = checkData(values);
  return complete.ok ? ok({ signedRecords: concat(...signed), recordsSound }) : complete;
}

interface RecordPlace {
  readonly sfi: number;
  readonly record: number;
  readonly authenticated: boolean;
}

function recordsOf(afl: readonly AflEntry[]): readonly RecordPlace[] {
  return afl.flatMap(({ sfi, firstRecord, lastRecord, authenticatedRecords }) =>
    Array.from({ length: lastRecord - firstRecord + 1 }, (_, index) => ({
      sfi,
      record: firstRecord + index,
      authenticated: index < authenticatedRecords,
    })),
  );
}

/** Files 1 to 10: without the template's tag and length (10.3). What is no template has failed already. */
const contentOf = (record: Uint8Array): Uint8Array => readable(() => wholeObjects(record))?.[0]?.value ?? record;

interface Kept {
  readonly values: Map<Tag, Uint8Array>;
  readonly seen: Set<Tag>;
}

/**
 * An object that comes a second time is returned, and ends the transaction (10.2). What is inside a further template is known
 * by that template, not by its tag alone. An object of length zero counts as absent.
 */
function keepObjects(objects: readonly Tlv[], { values, seen }: Kept): Tag | undefined {
  for (const object of objects) {
    if ("children" in object) continue;
    if (seen.has(object.tag)) return object.tag;
    seen.add(object.tag);
    if (isCardData(object.tag) && object.value.length > 0) values.set(object.tag, object.value);
  }
  return undefined;
}

/** Book 3, 7.2, table 28. */
const MANDATORY: readonly Tag[] = [0x5f24, 0x5a, 0x8c, 0x8d];
/** A CDOL's values are all the data of one command. */
const CDOL_VALUES_MAX = 252;

function checkData(values: ReadonlyMap<Tag, Uint8Array>): Result<undefined, KernelEnd> {
  const missing = MANDATORY.find((tag) => !values.has(tag));
  if (missing !== undefined) {
    return end("data-missing", `the card has no ${EMV_TAGS.get(missing)?.name ?? "object"} (${tagName(missing)})`);
  }
  return reading("the card's records", () => {
    for (const [tag, check] of FORMS) {
      const value = values.get(tag);
      if (value) check(value);
    }
    return undefined;
  });
}

const PAN_BYTES_MAX = 10;

function checkPan(value: Uint8Array): void {
  if (value.length > PAN_BYTES_MAX || decodeCompressed(value).length === 0) {
    throw new Fault("codec.invalid", "the card number is not of 1 to 19 digits");
  }
}

/** YYMMDD. */
function checkDate(value: Uint8Array): void {
  checkLength(value, 3);
  const [, month = 0, day = 0] = toHex(value).match(/\d\d/g)?.map(Number) ?? [];
  if (month < 1 || month > 12 || day < 1 || day > 31) throw new Fault("codec.invalid", "a date that is none");
}

function checkLength(value: Uint8Array, bytes: number): void {
  if (value.length !== bytes)
    throw new Fault("codec.invalid", `a value of ${value.length} bytes where ${bytes} belong`);
}

function checkCdol(value: Uint8Array): void {
  if (dolDataLength(decodeDol(value)) > CDOL_VALUES_MAX) {
    throw new Fault("codec.too-long", `a CDOL that asks for more than ${CDOL_VALUES_MAX} bytes`);
  }
}

/** What is used without further care (7.5): each throws a Fault for a value of another form. */
const FORMS: readonly (readonly [Tag, (value: Uint8Array) => void])[] = [
  [0x5a, checkPan],
  [0x5f24, checkDate],
  [0x5f25, checkDate],
  [0x5f34, (value) => checkLength(value, 1)],
  [0x5f28, (value) => checkLength(value, 2)],
  [0x9f08, (value) => checkLength(value, 2)],
  [0x9f07, (value) => checkLength(value, 2)],
  [0x9f14, (value) => checkLength(value, 1)],
  [0x9f23, (value) => checkLength(value, 1)],
  [0x9f0d, (value) => checkLength(value, 5)],
  [0x9f0e, (value) => checkLength(value, 5)],
  [0x9f0f, (value) => checkLength(value, 5)],
  [0x8c, checkCdol],
  [0x8d, checkCdol],
];
