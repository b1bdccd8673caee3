/**
 * HID devices through the package `node-hid` on hidraw. Runs only in a device host: its native part reads on a thread of its
 * own, and a process that ends while a device is open can wait for that thread for ever.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Device as HidInfo } from "node-hid";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";

/** Which interface of a device is wanted; composite scanners have several. */
export const HID_KINDS = ["any", "pos", "keyboard"] as const;
export type HidKind = (typeof HID_KINDS)[number];

export interface HidOptions {
  readonly vendor: number;
  readonly product: number;
  readonly serial?: string;
  /** The device node, such as /dev/hidraw0. */
  readonly path?: string;
  readonly kind: HidKind;
  readonly on: HidListener;
}

export interface HidListener {
  report(bytes: Uint8Array): void;
  /** The device is gone; nothing follows. */
  lost(fault: Fault): void;
}

export interface HidInterface {
  readonly path: string;
  /** Maker, model and serial number as far as the device tells them. */
  readonly name: string;
  readonly usagePage: number;
  readonly usage: number;
  /** Absent where the system does not give it. */
  readonly descriptor?: Uint8Array;
}

export interface Hid {
  readonly device: HidInterface;
  close(): Promise<void>;
}

const POS_PAGE = 0x8c;
const DESKTOP_PAGE = 0x01;
const KEYBOARD_USAGES: readonly (number | undefined)[] = [0x06, 0x07];
const SYS_CLASS = "/sys/class/hidraw";
const LISTED_MAX = 8;

/** Throws Fault `package.missing`, `device.absent`, `config.invalid`, `device.protocol` or `transport.failed`, each with what to do. */
export async function openHid(options: HidOptions): Promise<Hid> {
  const { devicesAsync, HIDAsync } = await loadPackage();
  const found = chooseInterface(await devicesAsync(), options);
  const { on } = options;
  let device: Awaited<ReturnType<typeof HIDAsync.open>>;
  try {
    device = await HIDAsync.open(found.path);
  } catch (error) {
    throw openFault(error, found.path, options);
  }
  device.on("error", (error) => {
    on.lost(
      new Fault("transport.closed", `the scanner at ${found.path} is gone (${firstLine(error)}): is it plugged in?`),
    );
  });
  device.on("data", (bytes: Uint8Array) => on.report(new Uint8Array(bytes)));
  const descriptor = descriptorOf(found.path);
  return {
    device: { ...found, ...(descriptor && { descriptor }) },
    close: () => device.close(),
  };
}

async function loadPackage(): Promise<typeof import("node-hid")> {
  try {
    return await import("node-hid");
  } catch (error) {
    const mend = "run scripts/setup, or npm install node-hid";
    throw new Fault("package.missing", `the package "node-hid" does not load (${firstLine(error)}); ${mend}`);
  }
}

type Listed = Pick<
  HidInfo,
  "vendorId" | "productId" | "path" | "serialNumber" | "manufacturer" | "product" | "interface" | "usagePage" | "usage"
>;

/** The interface to open: that of the wanted kind, or for `any` a POS interface before a keyboard. Pure, for its tests. */
export function chooseInterface(devices: readonly Listed[], options: Omit<HidOptions, "on">): HidInterface {
  const { vendor, product, serial, path, kind } = options;
  const same = devices.filter(({ vendorId, productId }) => vendorId === vendor && productId === product);
  const named = same.filter(
    (device) =>
      device.path !== undefined &&
      (serial === undefined || device.serialNumber === serial) &&
      (path === undefined || device.path === path),
  );
  if (named.length === 0) throw absent(devices, same, options);
  const pos = named.filter(({ usagePage }) => usagePage === POS_PAGE);
  const keyboard = named.filter(
    ({ usagePage, usage }) => usagePage === DESKTOP_PAGE && KEYBOARD_USAGES.includes(usage),
  );
  const [chosen, ...others] = kind === "any" ? [...pos, ...keyboard] : [...(kind === "pos" ? pos : keyboard), ...named];
  if (!chosen) {
    const page = `usage page ${hex(named[0]?.usagePage ?? 0)}`;
    const mend = "set it to HID POS or keyboard mode with the codes of its manual, or say mode=pos or mode=keyboard";
    throw new Fault("device.protocol", `the device ${idOf(options)} is no code scanner (${page}): ${mend}`);
  }
  const twin = others.find((other) => other.interface === chosen.interface && other.path !== chosen.path);
  if (twin) {
    const mend = "name one by ?serial= or ?path=";
    throw new Fault(
      "config.invalid",
      `two devices ${idOf(options)} are connected, ${chosen.path} and ${twin.path}: ${mend}`,
    );
  }
  const words = [chosen.manufacturer, chosen.product, chosen.serialNumber].filter(Boolean).join(" ");
  return {
    path: chosen.path ?? "",
    name: words === "" ? `HID device ${idOf(options)}` : words,
    usagePage: chosen.usagePage ?? 0,
    usage: chosen.usage ?? 0,
  };
}

const hex = (number: number): string => number.toString(16).padStart(4, "0");
const idOf = ({ vendor, product }: { readonly vendor: number; readonly product: number }): string =>
  `${hex(vendor)}:${hex(product)}`;

function absent(devices: readonly Listed[], same: readonly Listed[], options: Omit<HidOptions, "on">): Fault {
  const list = (items: readonly string[]): string => [...new Set(items)].slice(0, LISTED_MAX).join(", ");
  if (same.length > 0) {
    const there = list(same.map(({ path, serialNumber }) => `${path} (serial ${serialNumber || "none"})`));
    return new Fault("device.absent", `no device ${idOf(options)} has that serial number or path; there are ${there}`);
  }
  const there = list(
    devices.map(({ vendorId, productId, product }) =>
      `${idOf({ vendor: vendorId, product: productId })} ${product ?? ""}`.trim(),
    ),
  );
  const others = there === "" ? "no HID device is connected" : `there are ${there}`;
  return new Fault("device.absent", `no code scanner ${idOf(options)} is connected: plug it in; ${others}`);
}

/** Names an error of opening for people. */
function openFault(error: unknown, path: string, options: HidOptions): Fault {
  if (isFault(error)) return error;
  const text = firstLine(error);
  if (/permission denied|EACCES|EPERM/i.test(text)) {
    const rule = `KERNEL=="hidraw*", ATTRS{idVendor}=="${hex(options.vendor)}", MODE="0660", GROUP="plugdev"`;
    return new Fault("transport.failed", `${path}: permission denied; allow this user by a udev rule such as ${rule}`);
  }
  if (/no such (file|device)|ENOENT|ENODEV|ENXIO/i.test(text)) {
    return new Fault("device.absent", `${path}: the scanner was unplugged as it was opened; plug it in again`);
  }
  return new Fault("transport.failed", `${path}: cannot open (${text}); unplug the scanner and plug it in again`);
}

/** node-hid has no call for it; the kernel gives the same bytes here. */
function descriptorOf(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(`${SYS_CLASS}/${basename(path)}/device/report_descriptor`));
  } catch {
    // The common layouts serve then.
    return undefined;
  }
}

const firstLine = (error: unknown): string => reasonOf(error).split("\n")[0] ?? "";
