/** What an institution signed is taken to the byte or not at all, and never out of its order. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { newSigningKeys, readPublicKey, signText } from "./signing.ts";
import {
  ACCOUNT_PREFIX_DIGITS_MAX,
  type HeldParameters,
  offerStandInParameters,
  openStandInParameters,
  PARAMETERS_TEXT_MAX,
  STAND_IN_DEFAULTS,
  STOP_LIST_MAX,
  type StandInParameters,
  StandInParametersSchema,
  signStandInParameters,
} from "./stand-in.ts";
import { decideStandIn, STAND_IN_CHECKS } from "./stand-in-checks.ts";
import { NOTHING_COUNTED, NOW, PARAMETERS, REQUEST } from "./stand-in-fixture.ts";

const keys = newSigningKeys();
const trust = { institutionId: "bank-1", key: keys.publicKey };
const signed = (change: Partial<StandInParameters> = {}): string =>
  signStandInParameters({ ...PARAMETERS, ...change }, keys.privateKey);
const holding = (text: string): HeldParameters => {
  const opened = openStandInParameters(text, trust);
  if (!opened.ok) throw new Error(opened.error.detail);
  return { parameters: opened.value, text };
};
const offer = (held: HeldParameters | undefined, text: string, now = NOW) =>
  offerStandInParameters(held, { text, trust, now });
const refusedAs = (reason: string) => ({ on: "refused", refusal: expect.objectContaining({ reason }) });

test("what the institution signed opens as it was signed", () => {
  expect(openStandInParameters(signed(), trust)).toEqual({ ok: true, value: PARAMETERS });
});

test("what an institution made without our code is taken", () => {
  const vector = new URL("../test/vectors/stand-in/parameters-made.json", import.meta.url);
  const sample = new URL("../test/vectors/wire/stand-in.signed.json", import.meta.url);
  const made = JSON.parse(readFileSync(vector, "utf8"));
  const opened = openStandInParameters(made.file, {
    institutionId: made.institutionId,
    key: readPublicKey(made.publicKey),
  });
  expect(opened).toEqual({ ok: true, value: JSON.parse(readFileSync(sample, "utf8")) });
});

test("AC3.4 a parameter file with one changed byte is refused by name, and the version before stays in force", () => {
  const held = holding(signed());
  const bytes = Buffer.from(signed({ version: 8 }), "utf8");
  const change = fc.record({ at: fc.nat(bytes.length - 1), by: fc.integer({ min: 1, max: 255 }) });
  fc.assert(
    fc.property(change, ({ at, by }) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ by;
      const offered = offer(held, changed.toString("utf8"));
      expect(offered.held).toBe(held);
      expect([refusedAs("E_SIG"), refusedAs("E_FORMAT")]).toContainEqual(offered.event);
    }),
    { numRuns: 400 },
  );
  expect(offer(held, bytes.toString("utf8")).event).toEqual({ on: "taken", version: 8 });
});

test("AC3.4 a file cut short, lengthened or of another purpose or key is refused", () => {
  const held = holding(signed());
  const text = signed({ version: 8 });
  for (const wrong of [
    "",
    text.slice(0, -1),
    `${text} `,
    `${text}\n`,
    `[${text}]`,
    "x".repeat(PARAMETERS_TEXT_MAX + 1),
  ])
    expect(offer(held, wrong)).toEqual({ held, event: refusedAs("E_FORMAT") });
  const content = JSON.stringify({ ...PARAMETERS, version: 8 });
  const asLease = JSON.stringify(signText("lease", content, keys.privateKey));
  const byAnother = signStandInParameters({ ...PARAMETERS, version: 8 }, newSigningKeys().privateKey);
  for (const wrong of [asLease, byAnother]) expect(offer(held, wrong)).toEqual({ held, event: refusedAs("E_SIG") });
});

test("a signed set of unknown form is refused and the field named", () => {
  const held = holding(signed());
  const wrong: readonly (readonly [string, object])[] = [
    ["surplus", { surplus: 1 }],
    ["limit.single", { limit: { ...PARAMETERS.limit, single: "-1" } }],
    ["account.range.0", { account: { ...PARAMETERS.account, range: ["9".repeat(ACCOUNT_PREFIX_DIGITS_MAX + 1)] } }],
    [
      "institution.window.0",
      { institution: { ...PARAMETERS.institution, window: [{ from: PARAMETERS.validTo, to: PARAMETERS.validFrom }] } },
    ],
    ["validTo", { validTo: PARAMETERS.validFrom }],
  ];
  for (const [field, change] of wrong) {
    const { event } = offer(held, signed({ version: 8, ...change }));
    expect(event).toEqual(refusedAs("E_FORMAT"));
    if (event.on === "refused") expect(event.refusal.detail).toContain(field);
  }
});

test("a set of another institution is refused, though the key is the right one", () => {
  const institution = { ...PARAMETERS.institution, id: "bank-2" };
  expect(offer(undefined, signed({ institution }))).toEqual({ held: undefined, event: refusedAs("E_DENIED") });
});

test("an older version never replaces a newer one, nor another of the same number; the same one again is known", () => {
  const held = holding(signed());
  expect(offer(held, signed({ version: 6 }))).toEqual({ held, event: refusedAs("E_REPLAY") });
  expect(offer(held, signed({ fallback: "REFER" }))).toEqual({ held, event: refusedAs("E_CONFLICT") });
  expect(offer(held, signed())).toEqual({ held, event: { on: "known", version: 7 } });
});

test("in any order of offers the version in force never falls", () => {
  const texts = [1, 2, 3, 4].map((version) => signed({ version }));
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 12 }), (order) => {
      let held: HeldParameters | undefined;
      for (const index of order) {
        const earlier = held?.parameters.version ?? 0;
        held = offer(held, texts[index] ?? "").held;
        expect(held?.parameters.version).toBe(Math.max(earlier, index + 1));
      }
    }),
  );
});

test("a set that comes before its time does not end the one in force; with none in force it waits for its time", () => {
  const early = signed({ version: 8, validFrom: "2026-03-01T00:00:00.000Z" });
  const held = holding(signed());
  expect(offer(held, early)).toEqual({ held, event: refusedAs("E_STATE") });
  expect(offer(undefined, early).event).toEqual({ on: "taken", version: 8 });
  expect(offer(held, early, Date.parse("2026-03-01T00:00:00.000Z")).event).toEqual({ on: "taken", version: 8 });
});

test("the institution's last word is taken though it has expired, as it ends what it said before", () => {
  const held = holding(signed());
  const taken = offer(held, signed({ version: 8, validTo: "2026-01-06T00:00:00.000Z" }));
  expect(taken.event).toEqual({ on: "taken", version: 8 });
  const parameters = taken.held?.parameters;
  expect(decideStandIn({ parameters, request: REQUEST, counters: NOTHING_COUNTED, now: NOW })).toMatchObject({
    decision: "decline",
    decidedBy: "validTo",
  });
});

test("a full set can be signed and opened", () => {
  const tokens = Array.from({ length: STOP_LIST_MAX }, (_, index) => index.toString(16).padStart(64, "0"));
  const ids = Array.from({ length: 1_000 }, (_, index) => `a${index}`.padEnd(32, "0"));
  const text = signed({
    institution: {
      ...PARAMETERS.institution,
      window: Array.from({ length: 64 }, () => ({ from: PARAMETERS.validFrom, to: PARAMETERS.validTo })),
    },
    acquirer: { allow: ids, deny: ids },
    account: { range: Array.from({ length: 1_000 }, () => "99999999"), stopList: { keyId: "k".repeat(64), tokens } },
    txn: { types: ["purchase"], mccDeny: Array.from({ length: 1_000 }, () => "6011") },
  });
  expect(openStandInParameters(text, trust).ok).toBe(true);
  expect(text.length).toBeLessThan(PARAMETERS_TEXT_MAX);
  const padded = JSON.stringify(PARAMETERS) + "\n".repeat(PARAMETERS_TEXT_MAX / 2);
  const tooLong = JSON.stringify(signText("stand-in", padded, keys.privateKey));
  expect(openStandInParameters(tooLong, trust)).toMatchObject({ ok: false, error: { reason: "E_FORMAT" } });
});

test("an institution that says nothing more than the defaults delegates nothing", () => {
  const { version, issuedAt, validFrom, validTo, currency } = PARAMETERS;
  const institution = { id: "bank-1", ...STAND_IN_DEFAULTS.institution };
  const defaults = { version, issuedAt, validFrom, validTo, currency, ...STAND_IN_DEFAULTS, institution };
  const parameters = StandInParametersSchema.parse(structuredClone(defaults));
  expect(decideStandIn({ parameters, request: REQUEST, counters: NOTHING_COUNTED, now: NOW })).toMatchObject({
    decision: "decline",
    decidedBy: "institution.enabled",
  });
});

test("every check but the first is named after the field of the set that decides", () => {
  const [none, ...fields] = STAND_IN_CHECKS;
  expect(none).toBe("parameters");
  for (const field of fields) {
    const value = field.split(".").reduce<unknown>((part, name) => Reflect.get(Object(part), name), PARAMETERS);
    expect(value, field).toBeDefined();
  }
});
