import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { createIso8583Codec } from "./codec.ts";
import { paymentReference, referenceFields, withPaymentReference } from "./payment-reference.ts";
import { SPECS } from "./specs.ts";

const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const reference = fc.record(
  {
    terminalId: id,
    paymentId: id,
    attempt: fc.integer({ min: 1, max: 99 }),
    reason: fc.stringMatching(/^[a-z][a-z-]{0,31}$/),
  },
  { requiredKeys: ["terminalId", "paymentId"] },
);

describe("the reference to a payment in DE 48", () => {
  test.each(SPECS)("comes back whole in $name", (spec) => {
    const codec = createIso8583Codec(withPaymentReference(spec));
    fc.assert(
      fc.property(reference, (named) => {
        const message = { mti: `${spec.version}200`, fields: { 11: "000001", 48: referenceFields(named) } };
        expect(paymentReference(codec.unpack(codec.pack(message)))).toEqual(named);
      }),
    );
  });

  test("lies there as tag, length and value", () => {
    const [spec] = SPECS;
    if (!spec) expect.unreachable();
    const codec = createIso8583Codec(withPaymentReference(spec));
    const fields = { 48: referenceFields({ terminalId: "t-1", paymentId: "p-22", attempt: 3, reason: "timeout" }) };
    const text = Buffer.from(codec.pack({ mti: "0420", fields })).toString("latin1");
    expect(text.slice(20)).toBe("035" + "01003t-1" + "02004p-22" + "030013" + "04007timeout");
  });

  test("what an issuer adds is kept, and a message may name no payment", () => {
    const [spec] = SPECS;
    if (!spec) expect.unreachable();
    const codec = createIso8583Codec(withPaymentReference(spec));
    const named = { terminalId: "t-1", paymentId: "p-1" };
    const message = codec.unpack(codec.pack({ mti: "0210", fields: { 48: { ...referenceFields(named), Z9: "his" } } }));
    expect(message.fields[48]).toMatchObject({ Z9: "his" });
    expect(paymentReference(message)).toEqual(named);
    expect(paymentReference({ mti: "0810", fields: {} })).toBeUndefined();
  });

  test("half a reference is a fault", () => {
    try {
      paymentReference({ mti: "0200", fields: { 48: { "01": "t-1" } } });
      expect.unreachable();
    } catch (error) {
      expect(isFault(error, "codec.invalid")).toBe(true);
    }
  });
});
