/** What a device host and its parent say to each other. Both sides check what they receive: the channel carries any object. */
import { FAULT_CODES, Fault, type FaultCode } from "../../base/fault.ts";
import { HID_KINDS, type HidKind } from "../transports/hid.ts";

/** Parent to child. `call` pairs a request with its answer. */
export type HostRequest =
  | { readonly do: "open"; readonly driver: "pcsc"; readonly reader: string; readonly socket: string }
  | {
      readonly do: "open";
      readonly driver: "hid";
      readonly vendor: number;
      readonly product: number;
      readonly serial?: string;
      readonly path?: string;
      readonly kind: HidKind;
    }
  | { readonly do: "transmit"; readonly call: number; readonly card: number; readonly command: Uint8Array }
  | { readonly do: "release"; readonly card: number }
  | { readonly do: "close" };

/** Child to parent. */
export type HostEvent =
  | { readonly on: "alive" }
  | { readonly on: "opened"; readonly description: string }
  | { readonly on: "card-in"; readonly card: number; readonly atr: Uint8Array }
  | { readonly on: "card-out"; readonly card: number }
  | { readonly on: "card-unreadable"; readonly reader: string }
  /** Which interface was opened, before `opened`; an empty descriptor where the system gives none. */
  | {
      readonly on: "hid-interface";
      readonly usagePage: number;
      readonly usage: number;
      readonly descriptor: Uint8Array;
    }
  | { readonly on: "report"; readonly report: Uint8Array }
  | { readonly on: "response"; readonly call: number; readonly response: Uint8Array }
  | { readonly on: "refused"; readonly call: number; readonly code: FaultCode; readonly message: string }
  | { readonly on: "lost"; readonly code: FaultCode; readonly message: string };

export function readHostRequest(message: unknown): HostRequest {
  const fields = new Fields(message);
  const name = fields.text("do");
  switch (name) {
    case "open":
      return readOpen(fields);
    case "transmit":
      return { do: name, call: fields.count("call"), card: fields.count("card"), command: fields.bytes("command") };
    case "release":
      return { do: name, card: fields.count("card") };
    case "close":
      return { do: name };
    default:
      throw fields.wrong("do");
  }
}

function readOpen(fields: Fields): HostRequest & { readonly do: "open" } {
  const driver = fields.text("driver");
  if (driver === "pcsc") return { do: "open", driver, reader: fields.text("reader"), socket: fields.text("socket") };
  if (driver !== "hid") throw fields.wrong("driver");
  const kind = HID_KINDS.find((known) => known === fields.text("kind"));
  if (!kind) throw fields.wrong("kind");
  const serial = fields.optionalText("serial");
  const path = fields.optionalText("path");
  return {
    do: "open",
    driver,
    vendor: fields.count("vendor"),
    product: fields.count("product"),
    ...(serial !== undefined && { serial }),
    ...(path !== undefined && { path }),
    kind,
  };
}

export function readHostEvent(message: unknown): HostEvent {
  const fields = new Fields(message);
  const name = fields.text("on");
  switch (name) {
    case "alive":
      return { on: name };
    case "opened":
      return { on: name, description: fields.text("description") };
    case "card-in":
      return { on: name, card: fields.count("card"), atr: fields.bytes("atr") };
    case "card-out":
      return { on: name, card: fields.count("card") };
    case "card-unreadable":
      return { on: name, reader: fields.text("reader") };
    case "hid-interface":
      return {
        on: name,
        usagePage: fields.count("usagePage"),
        usage: fields.count("usage"),
        descriptor: fields.bytes("descriptor"),
      };
    case "report":
      return { on: name, report: fields.bytes("report") };
    case "response":
      return { on: name, call: fields.count("call"), response: fields.bytes("response") };
    case "refused":
      return { on: name, call: fields.count("call"), code: fields.code(), message: fields.text("message") };
    case "lost":
      return { on: name, code: fields.code(), message: fields.text("message") };
    default:
      throw fields.wrong("on");
  }
}

const TEXT_CHARACTERS_MAX = 1_000;
/** The longest report descriptor and the longest report; an APDU's answer is shorter. */
const BYTES_MAX = 4_096;

class Fields {
  readonly #fields: ReadonlyMap<string, unknown>;

  constructor(message: unknown) {
    this.#fields = new Map(typeof message === "object" && message !== null ? Object.entries(message) : []);
  }

  text(name: string): string {
    const value = this.#fields.get(name);
    if (typeof value !== "string") throw this.wrong(name);
    return value.slice(0, TEXT_CHARACTERS_MAX);
  }

  optionalText(name: string): string | undefined {
    return this.#fields.get(name) === undefined ? undefined : this.text(name);
  }

  count(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw this.wrong(name);
    return value;
  }

  bytes(name: string): Uint8Array {
    const value = this.#fields.get(name);
    if (!(value instanceof Uint8Array) || value.length > BYTES_MAX) throw this.wrong(name);
    return value;
  }

  code(): FaultCode {
    const value = this.#fields.get("code");
    const code = FAULT_CODES.find((known) => known === value);
    if (!code) throw this.wrong("code");
    return code;
  }

  wrong(name: string): Fault {
    return new Fault("message.invalid", `a device host message with a wrong "${name}"`);
  }
}
