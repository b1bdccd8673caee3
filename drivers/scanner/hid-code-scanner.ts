/**
 * Code scanners on USB: `hid:0c2e:0b62`, with `?serial=` or `?path=` where several are alike, and `?mode=` where the device
 * is not to decide by its report descriptor whether it is a HID POS scanner or one that types. For one that types,
 * `layout=`, `terminator=` and `prefix=` say how it is programmed.
 *
 * The native part lives in a device host, a child process, as a card reader's does: node-hid reads on a thread of its own, a
 * fault in it would end the agent in the middle of a sale, and a process that ends while a device is open can hang.
 * The system hears a typing scanner as a keyboard too; a counter where that disturbs sets its scanner to HID POS.
 */
import type { Clock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { KEYBOARD_LAYOUTS } from "../../protocols/hid/keyboard-layouts.ts";
import { BOOT_KEYBOARD, isKeyboard, keyReportLayout } from "../../protocols/hid/keyboard-report.ts";
import { BAR_CODE_SCANNER_PAGE, COMMON_POS_LAYOUT, posLayout } from "../../protocols/hid/pos-report.ts";
import { parseReportDescriptor } from "../../protocols/hid/report-descriptor.ts";
import {
  KeyboardScanDecoder,
  PosScanDecoder,
  type ScanDecoder,
  TERMINATORS,
} from "../../protocols/hid/scan-decoder.ts";
import type { CapabilityMap, Device, DeviceSpec } from "../capability.ts";
import { choiceOption, type DeviceUri, parseDeviceUri, refuseUnknownOptions } from "../device-uri.ts";
import { openHosted } from "../host/hosted-device.ts";
import type { HostEvent } from "../host/messages.ts";
import { ScannedCodes } from "./scanned-codes.ts";

export interface CodeScannerContext {
  readonly clock: Clock;
  readonly log: Log;
  /** Of this process; what it tells the dynamic loader holds for the device host as well, nothing else does. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Ends the wait for the scanner to open. */
  readonly signal: AbortSignal;
}

const OPTIONS = ["serial", "path", "mode", "layout", "terminator", "prefix"];
const TARGET = /^([0-9a-f]{4}):([0-9a-f]{4})$/i;
const MODES = ["auto", "pos", "keyboard"] as const;
type Mode = (typeof MODES)[number];
/** UMOCKDEV_DIR goes with a preloaded libumockdev, by which a simulated scanner is found. */
const LOADER_VARIABLES = ["LD_PRELOAD", "LD_LIBRARY_PATH", "UMOCKDEV_DIR"];

/** Throws Fault `config.invalid`, `package.missing`, `device.absent`, `device.protocol`, `device.hung` or `transport.failed`. */
export async function openHidCodeScanner(spec: DeviceSpec, context: CodeScannerContext): Promise<Device> {
  const settings = settingsOf(spec.uri);
  const lost = new AbortController();
  const { clock, log } = context;
  let opened: { readonly kind: string; readonly scanner: ScannedCodes } | undefined;
  let refused: unknown;
  const onEvent = (event: HostEvent): void => {
    if (event.on === "report") opened?.scanner.take(event.report);
    if (event.on !== "hid-interface") return;
    try {
      const { kind, decoder } = decoderFor(event, settings);
      opened = { kind, scanner: new ScannedCodes({ decoder, lost: lost.signal, clock, log }) };
    } catch (error) {
      refused = error;
    }
  };
  const { vendor, product, serial, path, mode } = settings;
  const host = await openHosted({
    open: {
      do: "open",
      driver: "hid",
      vendor,
      product,
      kind: mode === "auto" ? "any" : mode,
      ...(serial !== undefined && { serial }),
      ...(path !== undefined && { path }),
    },
    ...context,
    environment: loaderVariables(context.environment ?? {}),
    onEvent,
  });
  const end = () => lost.abort(host.lost.reason);
  if (host.lost.aborted) end();
  else host.lost.addEventListener("abort", end, { once: true });
  if (!opened) {
    await host[Symbol.asyncDispose]();
    throw new Fault("device.protocol", `${host.description}: ${reasonOf(refused)}; say mode=pos or mode=keyboard`);
  }
  const { kind, scanner } = opened;
  const capabilities: Partial<CapabilityMap> = { "code-scanner": scanner };
  return {
    id: spec.id,
    lost: host.lost,
    description: `${host.description}, ${kind} (device host ${host.pid})`,
    capability: (name) => capabilities[name],
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

const loaderVariables = (environment: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    LOADER_VARIABLES.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );

interface Settings {
  readonly uri: DeviceUri;
  readonly vendor: number;
  readonly product: number;
  readonly serial?: string;
  readonly path?: string;
  readonly mode: Mode;
}

function settingsOf(text: string): Settings {
  const uri = parseDeviceUri(text);
  const [, vendor, product] = TARGET.exec(uri.target) ?? [];
  if (uri.scheme !== "hid" || vendor === undefined || product === undefined) {
    const mend = "write hid:VVVV:PPPP with the vendor and product ids that lsusb shows, as in hid:0c2e:0b62";
    throw new Fault("config.invalid", `device URI "${uri.text}" names no code scanner: ${mend}`);
  }
  refuseUnknownOptions(uri, OPTIONS);
  // Read here already, so that a typing error in them is told before the device is looked for.
  keyboardOptions(uri);
  const { serial, path } = uri.options;
  return {
    uri,
    vendor: Number.parseInt(vendor, 16),
    product: Number.parseInt(product, 16),
    ...(serial !== undefined && { serial }),
    ...(path !== undefined && { path }),
    mode: choiceOption(uri, { key: "mode", choices: MODES, fallback: "auto" }),
  };
}

const keyboardOptions = (uri: DeviceUri) => ({
  layout: choiceOption(uri, { key: "layout", choices: KEYBOARD_LAYOUTS, fallback: "us" }),
  terminator: choiceOption(uri, { key: "terminator", choices: TERMINATORS, fallback: "enter-or-tab" }),
  prefix: uri.options["prefix"] ?? "",
});

/** By the usage page, unless the URI says otherwise; without a usable descriptor by the layout that scanners commonly have. */
function decoderFor(
  { usagePage, descriptor }: HostEvent & { readonly on: "hid-interface" },
  { uri, mode }: Settings,
): { readonly kind: string; readonly decoder: ScanDecoder } {
  const declared = descriptor.length === 0 ? undefined : parseReportDescriptor(descriptor);
  const pos = mode === "auto" ? usagePage === BAR_CODE_SCANNER_PAGE : mode === "pos";
  if (pos) {
    const layout = declared ? posLayout(declared) : COMMON_POS_LAYOUT;
    return { kind: "HID POS", decoder: new PosScanDecoder(layout) };
  }
  const { layout, terminator, prefix } = keyboardOptions(uri);
  const report = declared && isKeyboard(declared) ? keyReportLayout(declared) : BOOT_KEYBOARD;
  const decoder = new KeyboardScanDecoder({ report, layout, terminator, prefix });
  return { kind: `types on a keyboard (${layout})`, decoder };
}
