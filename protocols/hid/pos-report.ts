/** Reports of HID POS scanners: the Bar Code Scanner page, 0x8C, of the HID Point of Sale Usage Tables 1.02, section 3. */
import { Fault } from "../../base/fault.ts";
import { isAim } from "./aim.ts";
import { findInput, inputReportBytes, type ReportDescriptor, type Usage, usagePageOf } from "./report-descriptor.ts";

export const BAR_CODE_SCANNER_PAGE = 0x8c;

const USAGE = {
  symbologyIdentifier1: 0x008c_00fb,
  symbologyIdentifier2: 0x008c_00fc,
  symbologyIdentifier3: 0x008c_00fd,
  decodedData: 0x008c_00fe,
  decodeDataContinued: 0x008c_00ff,
  /** Of the Generic Desktop page. */
  byteCount: 0x0001_003b,
} as const;

/** Where the parts of a scanned data report are; byte offsets from the start of the report, its id included. */
export interface PosLayout {
  readonly reportId?: number;
  /** With the id. */
  readonly bytes: number;
  /** Absent: the data ends with its last byte that is not zero. */
  readonly countAt?: number;
  readonly aimAt?: readonly [number, number, number];
  readonly dataAt: number;
  readonly dataBytes: number;
  /** Absent: a code never takes more than one report. */
  readonly continued?: { readonly at: number; readonly mask: number };
}

/**
 * What Honeywell and Access-IS scanners send, 64 bytes: id 2, byte count, three characters of the AIM identifier, 56 bytes
 * of data, two bytes of the maker's own, and a last byte whose lowest bit says that the code goes on.
 */
export const COMMON_POS_LAYOUT: PosLayout = {
  reportId: 2,
  bytes: 64,
  countAt: 1,
  aimAt: [2, 3, 4],
  dataAt: 5,
  dataBytes: 56,
  continued: { at: 63, mask: 0x01 },
};

/** One report's part of a code. */
export interface PosPart {
  readonly aim?: string;
  readonly data: Uint8Array;
  readonly continued: boolean;
}

export const isPosScanner = ({ applications }: ReportDescriptor): boolean =>
  applications.some((usage) => usagePageOf(usage) === BAR_CODE_SCANNER_PAGE);

/** The layout that the device declares. Throws Fault `codec.invalid` when it declares no decoded data in whole bytes. */
export function posLayout(descriptor: ReportDescriptor): PosLayout {
  const data = findInput(descriptor, USAGE.decodedData);
  if (data?.field.bitSize !== 8 || data.bitOffset % 8 !== 0) {
    throw new Fault("codec.invalid", "the report descriptor declares no decoded data (usage 8C:FE) in whole bytes");
  }
  const { reportId, count } = data.field;
  const byteAt = (usage: Usage): number | undefined => {
    const found = findInput(descriptor, usage);
    const whole = found?.field.reportId === reportId && found?.field.bitSize === 8 && found.bitOffset % 8 === 0;
    return whole ? found.bitOffset / 8 : undefined;
  };
  const countAt = byteAt(USAGE.byteCount);
  const first = byteAt(USAGE.symbologyIdentifier1);
  const second = byteAt(USAGE.symbologyIdentifier2);
  const third = byteAt(USAGE.symbologyIdentifier3);
  const flag = findInput(descriptor, USAGE.decodeDataContinued);
  return {
    ...(reportId !== undefined && { reportId }),
    bytes: inputReportBytes(descriptor, reportId),
    ...(countAt !== undefined && { countAt }),
    ...(first !== undefined && second !== undefined && third !== undefined && { aimAt: [first, second, third] }),
    dataAt: data.bitOffset / 8,
    dataBytes: count - data.index,
    ...(flag?.field.reportId === reportId &&
      flag && { continued: { at: Math.floor(flag.bitOffset / 8), mask: 1 << (flag.bitOffset % 8) } }),
  };
}

/**
 * `undefined` for a report of another kind, such as a status. Throws Fault `codec.truncated` for one that has not its size,
 * `codec.invalid` for one that counts more data than it can hold.
 */
export function decodePosReport(report: Uint8Array, layout: PosLayout): PosPart | undefined {
  if (layout.reportId !== undefined && report[0] !== layout.reportId) return undefined;
  if (report.length !== layout.bytes) {
    throw new Fault("codec.truncated", `a scanner's report of ${report.length} bytes, not ${layout.bytes}`);
  }
  const room = report.subarray(layout.dataAt, layout.dataAt + layout.dataBytes);
  const count = layout.countAt === undefined ? withoutZeros(room) : (report[layout.countAt] ?? 0);
  if (count > room.length) {
    throw new Fault(
      "codec.invalid",
      `a scanner's report that counts ${count} bytes of data, of ${room.length} at most`,
    );
  }
  const aim = String.fromCharCode(...(layout.aimAt ?? []).map((at) => report[at] ?? 0));
  const { continued } = layout;
  return {
    ...(isAim(aim) && { aim }),
    data: room.slice(0, count),
    continued: continued !== undefined && ((report[continued.at] ?? 0) & continued.mask) !== 0,
  };
}

const withoutZeros = (room: Uint8Array): number => room.findLastIndex((byte) => byte !== 0) + 1;

export interface PosCode {
  readonly aim?: string;
  readonly data: Uint8Array;
}

/** The reports in which a scanner sends a code. */
export function encodePosReports(code: PosCode, layout: PosLayout = COMMON_POS_LAYOUT): readonly Uint8Array[] {
  if (code.aim !== undefined && !isAim(code.aim)) {
    throw new Fault("codec.invalid", `"${code.aim}" is no AIM symbology identifier such as ]Q3`);
  }
  const reports: Uint8Array[] = [];
  let at = 0;
  do {
    const part = code.data.subarray(at, at + layout.dataBytes);
    at += layout.dataBytes;
    const report = new Uint8Array(layout.bytes);
    if (layout.reportId !== undefined) report[0] = layout.reportId;
    if (layout.countAt !== undefined) report[layout.countAt] = part.length;
    report.set(part, layout.dataAt);
    for (const [index, place] of (layout.aimAt ?? []).entries()) report[place] = code.aim?.charCodeAt(index) ?? 0;
    const { continued } = layout;
    if (continued && at < code.data.length) report[continued.at] = (report[continued.at] ?? 0) | continued.mask;
    reports.push(report);
  } while (at < code.data.length);
  return reports;
}
