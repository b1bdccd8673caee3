/** The list of drivers, explicit and in order: which code opens which URI. */
import { Fault } from "../base/fault.ts";
import type { OpenDevice } from "./capability.ts";
import { parseDeviceUri } from "./device-uri.ts";
import type { Driver, DriverContext } from "./driver.ts";

const DRIVERS: readonly Driver[] = [
  {
    scheme: "pcsc",
    example: "pcsc:*",
    async load(context) {
      const { openPcscCardReader } = await import("./card-reader/pcsc-card-reader.ts");
      return (spec, signal) => openPcscCardReader(spec, { ...context, signal });
    },
  },
  {
    scheme: "hid",
    example: "hid:0c2e:0b62",
    async load(context) {
      const { openHidCodeScanner } = await import("./scanner/hid-code-scanner.ts");
      return (spec, signal) => openHidCodeScanner(spec, { ...context, signal });
    },
  },
  {
    scheme: "serial",
    example: "serial:/dev/ttyUSB0?baud=115200",
    async load(context) {
      const { serialPrinterOpener } = await import("./printer/escpos-printer.ts");
      return serialPrinterOpener(context);
    },
  },
];

/** Opens whatever the URI names. Throws Fault `config.invalid` for a scheme that no driver has. */
export function deviceCatalogue(context: DriverContext): OpenDevice {
  return async (spec, signal) => {
    const { scheme } = parseDeviceUri(spec.uri);
    const driver = DRIVERS.find((candidate) => candidate.scheme === scheme);
    if (driver === undefined) {
      const known = DRIVERS.map(({ example }) => example).join(" or ");
      throw new Fault("config.invalid", `device "${spec.id}": no driver opens ${scheme}: URIs; use ${known}`);
    }
    const open = await driver.load({ ...context, log: context.log.for(spec.id) });
    return open(spec, signal);
  };
}
