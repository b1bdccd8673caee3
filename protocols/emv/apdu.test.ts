import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import {
  type CommandApdu,
  decodeCommand,
  decodeResponse,
  encodeCommand,
  encodeResponse,
  exchange,
  RESPONSE_BYTES_MAX,
} from "./apdu.ts";

interface Dialogue {
  readonly name: string;
  readonly command: string;
  readonly steps: readonly (readonly [string, string])[];
  readonly data: string;
  readonly status: string;
}
const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/exchange.json", import.meta.url), "utf8")) as {
  readonly dialogues: readonly Dialogue[];
};

const byte = fc.integer({ min: 0, max: 255 });
const command: fc.Arbitrary<CommandApdu> = fc
  .record(
    {
      cla: byte,
      ins: byte,
      p1: byte,
      p2: byte,
      data: fc.uint8Array({ minLength: 1, maxLength: 255 }),
      le: fc.integer({ min: 1, max: 256 }),
    },
    { requiredKeys: ["cla", "ins", "p1", "p2"] },
  )
  .map((fields) => fields as CommandApdu);

describe("commands", () => {
  test.each([
    ["00A40400", { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00 }],
    ["00B2010C00", { cla: 0x00, ins: 0xb2, p1: 0x01, p2: 0x0c, le: 256 }],
    ["0082000004DEADBEEF", { cla: 0x00, ins: 0x82, p1: 0, p2: 0, data: fromHex("DEADBEEF") }],
    ["80A8000002830000", { cla: 0x80, ins: 0xa8, p1: 0, p2: 0, data: fromHex("8300"), le: 256 }],
  ] as const)("%s is read in its case and written again", (hex, expected) => {
    expect(decodeCommand(fromHex(hex))).toEqual(expected);
    expect(toHex(encodeCommand(expected)).toUpperCase()).toBe(hex);
  });

  test("come back from their bytes as they were", () => {
    fc.assert(
      fc.property(command, (original) => {
        expect(decodeCommand(encodeCommand(original))).toEqual(original);
      }),
    );
  });

  test("of any bytes are read or refused with a Fault", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => onlyFaults(() => decodeCommand(bytes))));
  });

  test.each([
    ["no data", { data: new Uint8Array(0) }],
    ["256 bytes of data", { data: new Uint8Array(256) }],
    ["an Le of 0", { le: 0 }],
    ["an Le of 257", { le: 257 }],
    ["a class of 256", { cla: 256 }],
  ] as const)("with %s are not written", (_, change) => {
    expect(() => encodeCommand({ cla: 0, ins: 0, p1: 0, p2: 0, ...change })).toThrow();
  });
});

describe("malformed commands", () => {
  test.each([
    ["00A404", 3],
    ["00A4040005A0", 5],
    ["00A40400000001AA", 4],
    ["00A4040001AA0000", 7],
  ])("%s is at fault at byte %i", (hex, offset) => {
    expect(() => decodeCommand(fromHex(hex))).toThrow(expect.objectContaining({ details: { offset } }));
  });
});

describe("responses", () => {
  test("end in the status word", () => {
    expect(decodeResponse(fromHex("61186A82"))).toEqual({ data: fromHex("6118"), status: 0x6a82 });
  });

  test("come back from their bytes as they were", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), fc.integer({ min: 0, max: 0xffff }), (data, status) => {
        expect(decodeResponse(encodeResponse({ data, status }))).toEqual({ data, status });
      }),
    );
  });

  test.each([0, 1, RESPONSE_BYTES_MAX + 1])("of %i bytes are refused", (length) => {
    expect(() => decodeResponse(new Uint8Array(length))).toThrow();
  });
});

describe("exchange", () => {
  test.each(vectors.dialogues)("$name", async ({ command: sent, steps, data, status }) => {
    const left = [...steps];
    const card = async (bytes: Uint8Array) => {
      const [expected, answer] = left.shift() ?? [];
      expect(toHex(bytes).toUpperCase()).toBe(expected);
      return fromHex(answer ?? "");
    };
    const response = await exchange(card, decodeCommand(fromHex(sent)));
    expect(left).toEqual([]);
    expect(toHex(response.data).toUpperCase()).toBe(data);
    expect(response.status).toBe(Number.parseInt(status, 16));
  });

  test("keeps the warning when a card has nothing behind it, as with T=1", async () => {
    const answers = ["6283", "6985"];
    const card = async () => fromHex(answers.shift() ?? "");
    const select = { cla: 0, ins: 0xa4, p1: 4, p2: 0, data: fromHex("A0000000031010"), le: 256 };
    expect(await exchange(card, select)).toEqual({ data: new Uint8Array(0), status: 0x6283 });
    expect(answers).toEqual([]);
  });

  test("asks for nothing when the warning came with its data, or to a command that wants none", async () => {
    const select = { cla: 0, ins: 0xa4, p1: 4, p2: 0, data: fromHex("A0000000031010"), le: 256 };
    const once = (answer: string) => {
      const answers = [fromHex(answer)];
      return async () => answers.shift() ?? Promise.reject(new Error("asked twice"));
    };
    expect(await exchange(once("6F006283"), select)).toEqual({ data: fromHex("6F00"), status: 0x6283 });
    const authenticate = { cla: 0, ins: 0x82, p1: 0, p2: 0, data: fromHex("0102030405060708") };
    expect(await exchange(once("6300"), authenticate)).toEqual({ data: new Uint8Array(0), status: 0x6300 });
    const read = { cla: 0, ins: 0xb2, p1: 1, p2: 0x0c, le: 256 };
    expect(await exchange(once("6282"), read)).toEqual({ data: new Uint8Array(0), status: 0x6282 });
  });

  test("with any card ends in a value or a Fault, in a bounded number of rounds", async () => {
    const answer = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom("6100", "6C00", "6105", "6C05", "6283", "6310", "9000", "00006101").map((hex) => fromHex(hex)),
    );
    await fc.assert(
      fc.asyncProperty(command, fc.array(answer, { minLength: 1, maxLength: 5 }), async (sent, answers) => {
        let rounds = 0;
        const card = async () => {
          rounds += 1;
          return answers[rounds % answers.length] ?? new Uint8Array(0);
        };
        await exchange(card, sent).catch((error) => {
          if (!isFault(error)) throw error;
        });
        expect(rounds).toBeLessThanOrEqual(260);
      }),
    );
  });

  test("with a card that never ends its answer is given up", async () => {
    const waits = exchange(async () => fromHex("6101"), { cla: 0, ins: 0xb2, p1: 1, p2: 0x0c, le: 256 });
    await expect(waits).rejects.toMatchObject({ code: "device.protocol" });
  });

  test("with a card that pours out data is refused", async () => {
    const pours = exchange(async () => fromHex(`${"00".repeat(200)}6101`), { cla: 0, ins: 0xb2, p1: 1, p2: 0x0c });
    await expect(pours).rejects.toMatchObject({ code: "codec.too-long" });
  });
});

function onlyFaults(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!isFault(error)) throw error;
    expect(error.details["offset"]).toBeTypeOf("number");
  }
}
