/** Report descriptors of the two kinds of scanner that the simulator can be. */
import { fromHex } from "../../base/bytes.ts";

export const SCANNER_KINDS = ["pos", "keyboard"] as const;
export type ScannerKind = (typeof SCANNER_KINDS)[number];

/** HID POS Usage Tables 1.02, section 3, with the fields in the common order: byte count, AIM, 56 bytes, maker's two, flags. */
const POS = fromHex(`
  058c 0902 a101
    0912 a102
      8502 1500 26ff00 7508
      9501 0501 093b 8102
      9503 058c 09fb 09fc 09fd 8102
      9538 09fe 820201
      0666ff 9502 0904 0900 8102
      058c 2501 7501 9508 09ff 8102
    c0
  c0`);

/** The boot keyboard of HID 1.11, appendix E.6. */
const KEYBOARD = fromHex(`
  0501 0906 a101
    0507 19e0 29e7 1500 2501 7501 9508 8102
    9501 7508 8101
    9505 7501 0508 1901 2905 9102
    9501 7503 9101
    9506 7508 1500 2565 0507 1900 2965 8100
  c0`);

export const REPORT_DESCRIPTORS: Readonly<Record<ScannerKind, Uint8Array>> = { pos: POS, keyboard: KEYBOARD };
