/** One device: asked of the running agent, which holds it, else opened here for a moment. */
import { abortable, type Clock, deadline } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { Device, DeviceSpec, OpenDevice, PrinterStatus } from "../../drivers/capability.ts";
import type { DeviceView } from "../devices/devices.ts";
import type { Finding } from "./finding.ts";

const OPEN_LIMIT_MS = 12_000;

/** A shop can sell without a printer, not without a reader. */
const levelOf = ({ uri }: DeviceSpec): "warn" | "FAIL" => (uri.startsWith("pcsc:") ? "FAIL" : "warn");

export function toldDevice(device: DeviceView): Finding {
  const { id: name, state, detail } = device;
  if (state === "ready") return { level: "ok", name, what: detail };
  return { level: "FAIL", name, what: `${state}: ${withMend(detail)}` };
}

export async function examineDevice(
  spec: DeviceSpec,
  { open, clock }: { open: OpenDevice; clock: Clock },
): Promise<Finding> {
  using limit = deadline(clock, OPEN_LIMIT_MS);
  let device: Device;
  try {
    device = await abortable(open(spec, limit.signal), limit.signal);
  } catch (error) {
    return { level: "FAIL", name: spec.id, what: failureWords(error) };
  }
  try {
    const printer = device.capability("receipt-printer");
    const trouble = printer && printerTrouble(await abortable(printer.status(limit.signal), limit.signal));
    if (trouble !== undefined) return { level: levelOf(spec), name: spec.id, what: trouble };
    return { level: "ok", name: spec.id, what: device.description };
  } catch (error) {
    return { level: "FAIL", name: spec.id, what: failureWords(error) };
  } finally {
    await Promise.race([device[Symbol.asyncDispose](), Promise.resolve()]);
  }
}

function failureWords(error: unknown): string {
  if (isFault(error, "transport.timeout", "device.hung")) {
    return `does not answer (${reasonOf(error)}); switch it on, and check its cable and its speed`;
  }
  return withMend(reasonOf(error));
}

/** Drivers name their mend after a colon or a semicolon; what has none gets the plain one. */
const withMend = (words: string): string =>
  /[;:?] \S/.test(words) || words.endsWith("?") ? words : `${words}; check its cable and its power`;

function printerTrouble({ online, paper, coverOpen }: PrinterStatus): string | undefined {
  if (coverOpen) return "the cover is open; close it";
  if (paper === "out") return "the paper is out; put in a new roll";
  if (!online) return "the printer is offline; press its feed button";
  return paper === "near-end" ? "the paper is near its end; have a new roll ready" : undefined;
}
