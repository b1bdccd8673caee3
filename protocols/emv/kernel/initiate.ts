/** Initiate application processing: GET PROCESSING OPTIONS with the data that the card asks for (Book 3, 10.1 and 6.5.8). */
import { Fault } from "../../../base/fault.ts";
import { ok } from "../../../base/result.ts";
import { type AflEntry, encodeAfl } from "../afl.ts";
import { STATUS } from "../apdu.ts";
import { decodeTlv, findValue, flattenTlv, type Tag } from "../ber-tlv.ts";
import { decodeProcessingOptions, getProcessingOptionsCommand } from "../commands.ts";
import { buildDol, decodeDol, dolDataLength } from "../dol.ts";
import { end, isCardData, type Part, reading, refused, send } from "./dialogue.ts";
import type { SelectedApplication, Unusable } from "./selection.ts";

export interface Initiated {
  readonly aip: Uint8Array;
  readonly afl: readonly AflEntry[];
  /** The tags of the card's answer. */
  readonly given: readonly Tag[];
  /** The values that the card was given, for the hash of CDA (Book 2, 6.6.2). */
  readonly pdolValues: Uint8Array;
}

/** What fits one command: 255 bytes with tag and length of the template around them. */
const PDOL_VALUES_MAX = 252;

/**
 * Takes the card's objects of FCI and answer into `values`. "unusable": the card's conditions of use are not satisfied, and
 * the application is a candidate no more (10.1).
 */
export function* initiate(selected: SelectedApplication, values: Map<Tag, Uint8Array>): Part<Initiated | Unusable> {
  for (const { tag, value } of flattenTlv(selected.fci)) {
    if (isCardData(tag) && value.length > 0) values.set(tag, value);
  }
  const pdol = reading("Processing Options Data Object List (9F38)", () =>
    decodeDol(findValue(selected.fci, 0x9f38) ?? new Uint8Array(0)),
  );
  if (!pdol.ok) return pdol;
  if (dolDataLength(pdol.value) > PDOL_VALUES_MAX) {
    return end("data-format", `the PDOL asks for more than ${PDOL_VALUES_MAX} bytes`);
  }
  const pdolValues = buildDol(pdol.value, values);
  const response = yield* send(getProcessingOptionsCommand(pdolValues));
  if (response.status === STATUS.conditionsNotSatisfied) return ok("unusable");
  if (response.status !== STATUS.ok) return refused("GET PROCESSING OPTIONS", response);
  const options = reading("GET PROCESSING OPTIONS", () => takeOptions(response.data, values));
  return options.ok ? ok({ ...options.value, pdolValues }) : options;
}

type Options = Pick<Initiated, "aip" | "afl" | "given">;

/** A format 2 answer may carry more than profile and locator (6.5.8.4), but nothing twice (7.5). */
function takeOptions(data: Uint8Array, values: Map<Tag, Uint8Array>): Options {
  const options = decodeProcessingOptions(data);
  const [template] = decodeTlv(data);
  const objects = template && "children" in template ? flattenTlv(template.children) : [];
  if (new Set(objects.map(({ tag }) => tag)).size < objects.length) {
    throw new Fault("codec.invalid", "an object comes twice");
  }
  for (const { tag, value } of objects) if (isCardData(tag) && value.length > 0) values.set(tag, value);
  values.set(0x82, options.aip);
  values.set(0x94, encodeAfl(options.afl));
  return { ...options, given: [0x82, 0x94, ...objects.map(({ tag }) => tag)] };
}
