/** Command and response APDUs in short form (ISO/IEC 7816-4, 5.1; EMV Book 3, 6.3), and what T=0 adds to them (Book 1, 9.3). */
import { ByteReader, concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

export interface CommandApdu {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  /** 1 to 255 bytes; absent in cases 1 and 2. */
  readonly data?: Uint8Array;
  /** Expected length, 1 to 256 (sent as 00); absent in cases 1 and 3. */
  readonly le?: number;
}

export interface ResponseApdu {
  readonly data: Uint8Array;
  /** SW1 and SW2, as 0x9000. */
  readonly status: number;
}

const HEADER_BYTES = 4;
export const COMMAND_DATA_BYTES_MAX = 255;
export const RESPONSE_DATA_BYTES_MAX = 256;
/** Header, Lc, data and Le. */
export const COMMAND_BYTES_MAX = HEADER_BYTES + 1 + COMMAND_DATA_BYTES_MAX + 1;
export const RESPONSE_BYTES_MAX = RESPONSE_DATA_BYTES_MAX + 2;

/** Status words by their names in ISO/IEC 7816-4, table 5. */
export const STATUS = {
  ok: 0x9000,
  wrongLength: 0x6700,
  fileInvalidated: 0x6283,
  authenticationFailed: 0x6300,
  authenticationMethodBlocked: 0x6983,
  referencedDataInvalidated: 0x6984,
  conditionsNotSatisfied: 0x6985,
  commandNotAllowed: 0x6986,
  functionNotSupported: 0x6a81,
  fileNotFound: 0x6a82,
  recordNotFound: 0x6a83,
  incorrectParameters: 0x6a86,
  referencedDataNotFound: 0x6a88,
  instructionNotSupported: 0x6d00,
  classNotSupported: 0x6e00,
} as const;

export function encodeCommand(command: CommandApdu): Uint8Array<ArrayBuffer> {
  const { data, le } = command;
  const header = [command.cla, command.ins, command.p1, command.p2];
  if (header.some((byte) => !isByte(byte))) throw new Fault("codec.invalid", "a command header byte is not 0 to 255");
  if (data && (data.length === 0 || data.length > COMMAND_DATA_BYTES_MAX)) {
    throw new Fault("codec.too-long", `command data are 1 to ${COMMAND_DATA_BYTES_MAX} bytes, not ${data.length}`);
  }
  if (le !== undefined && !(Number.isInteger(le) && le >= 1 && le <= RESPONSE_DATA_BYTES_MAX)) {
    throw new Fault("codec.invalid", `Le is 1 to ${RESPONSE_DATA_BYTES_MAX}, not ${le}`);
  }
  return concat(
    Uint8Array.from(header),
    data ? Uint8Array.of(data.length) : EMPTY,
    data ?? EMPTY,
    le === undefined ? EMPTY : Uint8Array.of(le % RESPONSE_DATA_BYTES_MAX),
  );
}

export function decodeCommand(bytes: Uint8Array): CommandApdu {
  const reader = new ByteReader(bytes);
  const header = { cla: reader.u8(), ins: reader.u8(), p1: reader.u8(), p2: reader.u8() };
  if (reader.remaining === 0) return header;
  if (reader.remaining === 1) return { ...header, le: decodeLe(reader.u8()) };
  const length = reader.u8();
  if (length === 0) {
    throw new Fault("codec.invalid", "an extended length is not used in EMV", { details: { offset: HEADER_BYTES } });
  }
  const data = reader.take(length);
  if (reader.remaining === 0) return { ...header, data };
  const le = decodeLe(reader.u8());
  if (reader.remaining > 0) {
    const details = { offset: reader.position };
    throw new Fault("codec.too-long", `${reader.remaining} bytes after Le`, { details });
  }
  return { ...header, data, le };
}

export function encodeResponse(response: ResponseApdu): Uint8Array<ArrayBuffer> {
  if (response.data.length > RESPONSE_DATA_BYTES_MAX) {
    throw new Fault("codec.too-long", `response data are at most ${RESPONSE_DATA_BYTES_MAX} bytes`);
  }
  return concat(response.data, Uint8Array.of((response.status >> 8) & 0xff, response.status & 0xff));
}

export function decodeResponse(bytes: Uint8Array): ResponseApdu {
  if (bytes.length > RESPONSE_BYTES_MAX) {
    throw new Fault("codec.too-long", `a response is at most ${RESPONSE_BYTES_MAX} bytes, not ${bytes.length}`, {
      details: { offset: RESPONSE_BYTES_MAX },
    });
  }
  const [sw1, sw2] = bytes.subarray(-2);
  if (sw1 === undefined || sw2 === undefined) {
    throw new Fault("codec.truncated", "a response without a status word", { details: { offset: bytes.length } });
  }
  return { data: bytes.subarray(0, -2), status: sw1 * 0x100 + sw2 };
}

const INS_GET_RESPONSE = 0xc0;
const getResponse = (le: number): CommandApdu => ({ cla: 0x00, ins: INS_GET_RESPONSE, p1: 0, p2: 0, le });

/**
 * What T=0 still asks for after a response: 61xx says xx bytes wait for GET RESPONSE, 6Cxx that nothing was done because
 * Le was not xx (Book 1, 9.3.1.1). Undefined when the exchange is complete.
 */
export function followUp(sent: CommandApdu, response: ResponseApdu): CommandApdu | undefined {
  const length = decodeLe(response.status & 0xff);
  switch (response.status >> 8) {
    case 0x61:
      return getResponse(length);
    case 0x6c:
      return { ...sent, le: length };
    default:
      return undefined;
  }
}

/** 62xx and 63xx: done, with something to say (Book 3, table 4). */
export const isWarning = (status: number): boolean => status >> 8 === 0x62 || status >> 8 === 0x63;

/** A response of 256 bytes in single bytes is the worst that a card may do. */
const ROUNDS_MAX = 260;

/**
 * One command and its whole answer, whatever the transmission protocol. Not a repetition in the sense of RM3: after 6Cxx
 * the card has not executed the command, and after 61xx it has, and waits for its answer to be fetched.
 *
 * A case 4 command that ends in a warning without data has its data fetched too, and the warning stays the status (Book 1,
 * A4). With T=1 the data come with the warning; a card that has none refuses the question, and the warning stands.
 */
export async function exchange(
  transceive: (command: Uint8Array) => Promise<Uint8Array>,
  command: CommandApdu,
): Promise<ResponseApdu> {
  const isCase4 = command.data !== undefined && command.le !== undefined;
  let next: CommandApdu | undefined = command;
  let data: Uint8Array = EMPTY;
  let status = 0;
  let warning: number | undefined;
  for (let round = 0; next; round += 1) {
    if (round === ROUNDS_MAX) throw new Fault("device.protocol", "the card never ends its answer");
    const response: ResponseApdu = decodeResponse(await transceive(encodeCommand(next)));
    data = data.length === 0 ? response.data : concat(data, response.data);
    if (data.length > RESPONSE_DATA_BYTES_MAX) {
      throw new Fault("codec.too-long", `the card answers with more than ${RESPONSE_DATA_BYTES_MAX} bytes`);
    }
    status = response.status;
    next = followUp(next, response);
    if (isCase4 && warning === undefined && isWarning(status) && data.length === 0) {
      warning = status;
      next = getResponse(RESPONSE_DATA_BYTES_MAX);
    }
  }
  return { data, status: warning ?? status };
}

const EMPTY = new Uint8Array(0);
const isByte = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xff;
const decodeLe = (byte: number): number => (byte === 0 ? RESPONSE_DATA_BYTES_MAX : byte);
