/** HID report descriptors (Device Class Definition for HID 1.11, 6.2.2): which field of an input report means what. */
import { ByteReader } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** Usage page in the upper, usage id in the lower 16 bits: 0x008C_00FE. */
export type Usage = number;

/** One Input item. */
export interface InputField {
  /** Absent when the device numbers none of its reports. */
  readonly reportId?: number;
  /** From the first bit of the report, its id included where there is one. */
  readonly bitOffset: number;
  /** Of one element. */
  readonly bitSize: number;
  readonly count: number;
  /** Constant fields are padding. */
  readonly kind: "array" | "constant" | "variable";
  /** One for each element; the last counts for all that follow it. A range is written out only by its ends. */
  readonly usages: readonly Usage[];
  readonly usageMin?: Usage;
  readonly usageMax?: Usage;
}

export interface ReportDescriptor {
  /** Usages of the application collections: what the interface is. */
  readonly applications: readonly Usage[];
  readonly inputs: readonly InputField[];
}

/** HID_MAX_DESCRIPTOR_SIZE of Linux. */
export const DESCRIPTOR_BYTES_MAX = 4_096;
/** With its id; far above what a scanner or a keyboard sends. */
export const REPORT_BYTES_MAX = 4_096;
const COLLECTION_DEPTH_MAX = 32;
const PUSHES_MAX = 16;
const USAGES_MAX = 1_024;

const LONG_ITEM = 0xfe;
const SIZES = [0, 1, 2, 4];
const TYPE = { main: 0, global: 1, local: 2 } as const;
const MAIN = { input: 0x8, collection: 0xa, endCollection: 0xc } as const;
const GLOBAL = { usagePage: 0x0, reportSize: 0x7, reportId: 0x8, reportCount: 0x9, push: 0xa, pop: 0xb } as const;
const LOCAL = { usage: 0x0, usageMin: 0x1, usageMax: 0x2 } as const;
const APPLICATION = 1;
const FLAG = { constant: 0x01, variable: 0x02 } as const;
const WHOLE_USAGE_BYTES = 4;
const PAGE = 0x1_0000;

interface Item {
  readonly type: number;
  readonly tag: number;
  readonly value: number;
  readonly size: number;
}

interface Globals {
  readonly usagePage: number;
  readonly reportSize: number;
  readonly reportCount: number;
  readonly reportId?: number;
}

/** Usages may be written before their page; the page that holds at the main item counts (6.2.2.7). */
interface LocalUsage {
  readonly value: number;
  readonly whole: boolean;
}

/** Throws Fault `codec.truncated`, `codec.invalid` or `codec.too-long`. */
export function parseReportDescriptor(bytes: Uint8Array): ReportDescriptor {
  if (bytes.length > DESCRIPTOR_BYTES_MAX) {
    throw new Fault("codec.too-long", `a report descriptor of ${bytes.length} bytes; at most ${DESCRIPTOR_BYTES_MAX}`);
  }
  const reader = new ByteReader(bytes);
  const parser = new DescriptorParser();
  while (reader.remaining > 0) {
    const item = readItem(reader);
    if (item) parser.take(item);
  }
  return parser.end();
}

function readItem(reader: ByteReader): Item | undefined {
  const prefix = reader.u8();
  if (prefix === LONG_ITEM) {
    const size = reader.u8();
    reader.u8();
    reader.take(size);
    return undefined;
  }
  const data = reader.take(SIZES[prefix & 0x03] ?? 0);
  // Little-endian (6.2.2.2).
  const value = data.reduceRight((sum, byte) => sum * 0x100 + byte, 0);
  return { type: (prefix >> 2) & 0x03, tag: prefix >> 4, value, size: data.length };
}

class DescriptorParser {
  #globals: Globals = { usagePage: 0, reportSize: 0, reportCount: 0 };
  readonly #pushed: Globals[] = [];
  #usages: LocalUsage[] = [];
  #usageMin: LocalUsage | undefined;
  #usageMax: LocalUsage | undefined;
  #depth = 0;
  readonly #bits = new Map<number | undefined, number>();
  readonly #applications: Usage[] = [];
  readonly #inputs: InputField[] = [];

  take(item: Item): void {
    if (item.type === TYPE.main) this.#main(item);
    else if (item.type === TYPE.global) this.#global(item);
    else if (item.type === TYPE.local) this.#local(item);
  }

  end(): ReportDescriptor {
    if (this.#depth !== 0) throw new Fault("codec.truncated", "a collection of the report descriptor is not closed");
    return { applications: this.#applications, inputs: this.#inputs };
  }

  #main({ tag, value }: Item): void {
    if (tag === MAIN.input) this.#input(value);
    if (tag === MAIN.collection) {
      this.#depth += 1;
      if (this.#depth > COLLECTION_DEPTH_MAX) throw new Fault("codec.too-long", "collections nested too deep");
      const usage = this.#usages.at(-1);
      if (value === APPLICATION && usage) this.#applications.push(this.#whole(usage));
    }
    if (tag === MAIN.endCollection) {
      this.#depth -= 1;
      if (this.#depth < 0) throw new Fault("codec.invalid", "a collection ends that has not begun");
    }
    this.#usages = [];
    this.#usageMin = undefined;
    this.#usageMax = undefined;
  }

  #input(flags: number): void {
    const { reportSize, reportCount, reportId } = this.#globals;
    const bitOffset = this.#bits.get(reportId) ?? (reportId === undefined ? 0 : 8);
    const end = bitOffset + reportSize * reportCount;
    if (end > REPORT_BYTES_MAX * 8) throw new Fault("codec.too-long", "an input report of too many bits");
    this.#bits.set(reportId, end);
    const data = (flags & FLAG.variable) === 0 ? "array" : "variable";
    this.#inputs.push({
      ...(reportId !== undefined && { reportId }),
      bitOffset,
      bitSize: reportSize,
      count: reportCount,
      kind: (flags & FLAG.constant) === 0 ? data : "constant",
      usages: this.#usages.map((usage) => this.#whole(usage)),
      ...(this.#usageMin && { usageMin: this.#whole(this.#usageMin) }),
      ...(this.#usageMax && { usageMax: this.#whole(this.#usageMax) }),
    });
  }

  #global({ tag, value }: Item): void {
    switch (tag) {
      case GLOBAL.usagePage:
        this.#globals = { ...this.#globals, usagePage: value };
        return;
      case GLOBAL.reportSize:
        this.#globals = { ...this.#globals, reportSize: value };
        return;
      case GLOBAL.reportCount:
        this.#globals = { ...this.#globals, reportCount: value };
        return;
      case GLOBAL.reportId:
        if (value < 1 || value > 0xff) throw new Fault("codec.invalid", `a report id of ${value}`);
        this.#globals = { ...this.#globals, reportId: value };
        return;
      case GLOBAL.push:
        if (this.#pushed.length >= PUSHES_MAX) throw new Fault("codec.too-long", "too many pushes");
        this.#pushed.push(this.#globals);
        return;
      case GLOBAL.pop: {
        const popped = this.#pushed.pop();
        if (!popped) throw new Fault("codec.invalid", "a pop without its push");
        this.#globals = popped;
        return;
      }
      default:
    }
  }

  #local({ tag, value, size }: Item): void {
    const usage = { value, whole: size === WHOLE_USAGE_BYTES };
    if (tag === LOCAL.usage) {
      if (this.#usages.length >= USAGES_MAX) throw new Fault("codec.too-long", "too many usages for one field");
      this.#usages.push(usage);
    }
    if (tag === LOCAL.usageMin) this.#usageMin = usage;
    if (tag === LOCAL.usageMax) this.#usageMax = usage;
  }

  #whole({ value, whole }: LocalUsage): Usage {
    return whole ? value : this.#globals.usagePage * PAGE + value;
  }
}

export const usagePageOf = (usage: Usage): number => Math.floor(usage / PAGE);

/** Bytes of the input report with that id, the id itself included. */
export function inputReportBytes({ inputs }: ReportDescriptor, reportId: number | undefined): number {
  const bits = inputs
    .filter((field) => field.reportId === reportId)
    .map(({ bitOffset, bitSize, count }) => bitOffset + bitSize * count);
  return Math.ceil(Math.max(0, ...bits) / 8);
}

export interface FoundElement {
  readonly field: InputField;
  /** Of this element, from the first bit of the report. */
  readonly bitOffset: number;
  /** Which of the field's elements. */
  readonly index: number;
}

/** The first element of a variable field with that usage. */
export function findInput({ inputs }: ReportDescriptor, usage: Usage): FoundElement | undefined {
  for (const field of inputs) {
    const index = field.kind === "variable" ? field.usages.indexOf(usage) : -1;
    if (index >= 0 && index < field.count) {
      return { field, index, bitOffset: field.bitOffset + index * field.bitSize };
    }
  }
  return undefined;
}
