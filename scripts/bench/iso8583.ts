/** How fast ISO 8583 messages are packed and unpacked, beside the package that does it on npm, which makes the same bytes. */
import { Fault, reasonOf } from "../../base/fault.ts";
import { createIso8583Codec } from "../../protocols/iso8583/codec.ts";
import { SPEC_1987_BINARY } from "../../protocols/iso8583/specs.ts";
import { compared, type Figure, type Pair, rate } from "./figures.ts";

const REFERENCE = "iso_8583";
const RUNS = 7;
const WARM_UP_RUNS = 2;
const RUN_MS = 250;
/** Calls between two looks at the clock, which would be a part of what a message takes. */
const BATCH = 50;

/** A purchase with a magnetic stripe and a PIN. Text only, since that is what the package takes; bytes are in hex. */
const FIELDS = {
  2: "4761739001010119",
  3: "000000",
  4: "000000005000",
  7: "0911131411",
  11: "000123",
  12: "131411",
  13: "0911",
  14: "2212",
  18: "5411",
  22: "021",
  23: "001",
  25: "00",
  32: "423935",
  35: "4761739001010119D22122011758928889",
  37: "125413000123",
  41: "TERM0001",
  42: "MERCHANT0000001",
  43: "Tillway test shop, Main Street 1, DE    ",
  49: "978",
  52: "7434F67813BAE545",
  102: "00000000001234567890123456",
};
const MTI = "0100";
const PIN_DATA = 52;
const MESSAGE_BYTES = 256;

export async function benchIso8583({
  onProgress = () => {},
}: {
  readonly onProgress?: (text: string) => void;
}): Promise<Figure[]> {
  const reference = await loadReference();
  const codec = createIso8583Codec(SPEC_1987_BINARY);
  const message = { mti: MTI, fields: { ...FIELDS, [PIN_DATA]: new Uint8Array(Buffer.from(FIELDS[PIN_DATA], "hex")) } };
  const bytes = Buffer.from(codec.pack(message));
  checkSame(bytes, reference);
  onProgress(`packing and unpacking ${MESSAGE_BYTES} bytes beside ${REFERENCE}`);
  return [
    await pairOf("iso8583.pack", () => codec.pack(message), reference.pack),
    await pairOf(
      "iso8583.unpack",
      () => codec.unpack(bytes),
      () => reference.unpack(bytes),
    ),
  ];
}

async function pairOf(figure: string, ours: () => unknown, theirs: () => unknown): Promise<Figure> {
  const pairs: Pair[] = [];
  for (let run = -WARM_UP_RUNS; run < RUNS; run += 1) {
    const pair = { ours: await batches(ours), reference: await batches(theirs) };
    if (run >= 0) pairs.push(pair);
  }
  return compared({ figure, unit: "messages/s", reference: REFERENCE }, pairs);
}

async function batches(step: () => unknown): Promise<number> {
  const perSecond = await rate(RUN_MS, () => {
    for (let call = 0; call < BATCH; call += 1) step();
  });
  return perSecond * BATCH;
}

interface Reference {
  pack(): unknown;
  unpack(bytes: Buffer): unknown;
}

/** Both are to do the same work: a bench of two different messages would say nothing. */
function checkSame(bytes: Buffer, reference: Reference): void {
  const packed = reference.pack();
  const unpacked = reference.unpack(bytes);
  const isSame = packed instanceof Uint8Array && bytes.equals(packed) && bytes.length === MESSAGE_BYTES;
  const hasAll =
    typeof unpacked === "object" &&
    unpacked !== null &&
    Object.keys(unpacked).length === Object.keys(FIELDS).length + 1;
  if (!isSame || !hasAll) throw new Error(`${REFERENCE} does not make the same ${MESSAGE_BYTES} bytes of the message`);
}

async function loadReference(): Promise<Reference> {
  const construct = await loadClass();
  const data = { 0: MTI, ...FIELDS };
  return {
    pack: () => call(Reflect.construct(construct, [data]), "getRawMessage"),
    unpack: (bytes) => call(Reflect.construct(construct, []), "getIsoJSON", bytes, { lenHeader: false }),
  };
}

function call(object: unknown, name: string, ...given: readonly unknown[]): unknown {
  const method: unknown = typeof object === "object" && object !== null ? Reflect.get(object, name) : undefined;
  if (typeof method !== "function") throw new Error(`${REFERENCE} has no ${name}`);
  return Reflect.apply(method, object, given);
}

/** It is there for this bench alone. Its name stands in a variable, since it has no types and does not belong in a bundle. */
async function loadClass(): Promise<new (...given: readonly unknown[]) => unknown> {
  const name: string = REFERENCE;
  try {
    const loaded: unknown = await import(name);
    const found: unknown = typeof loaded === "object" && loaded !== null ? Reflect.get(loaded, "default") : undefined;
    if (isClass(found)) return found;
  } catch (error) {
    throw missing(reasonOf(error).split("\n")[0] ?? "");
  }
  throw missing("it exports no class");
}

const isClass = (value: unknown): value is new (...given: readonly unknown[]) => unknown => typeof value === "function";

const missing = (reason: string): Fault =>
  new Fault(
    "package.missing",
    `the package "${REFERENCE}", with which this bench compares, does not load (${reason}); npm install brings it`,
  );
