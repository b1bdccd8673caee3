import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { decodeResponse } from "../apdu.ts";
import type { CryptogramType } from "../commands.ts";
import { card, plain, readied, ready } from "./card-fixture.ts";
import { completeTransaction } from "./completion.ts";
import { ask } from "./dialogue-fixture.ts";
import { firstCryptogram } from "./first-cryptogram.ts";
import type { Kernel } from "./kernel.ts";

describe("a card that answers anything", () => {
  /** More than any dialogue that is allowed: two directories' records, all of a locator's, and the commands around them. */
  const ASKS_MAX = 600;
  const status = fc.constantFrom(0x9000, 0x6283, 0x6985, 0x6a81, 0x6a82, 0x6a83, 0x6300);
  const anything = fc.uint8Array({ maxLength: 256 });

  /** Plays any answers; returns whether a result came within the bound. */
  function ends<T>(phase: Kernel<T>, answer: (command: string) => { data: Uint8Array; status: number }): T {
    let step = phase.next();
    for (let asks = 0; !step.done; asks += 1) {
      if (asks === ASKS_MAX) throw new Error("the kernel asks without end");
      const question = step.value;
      step =
        question.ask === "choose"
          ? phase.next({ chosen: 0 })
          : phase.next({ response: answer(question.command.ins.toString(16)) });
    }
    return step.value;
  }

  test("at any point ends in a result within a bounded number of commands", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.tuple(anything, status)), (answers) => {
        const result = ends(ready(), () => {
          const [data, word] = answers.next().value ?? [new Uint8Array(0), 0x9000];
          return { data, status: word };
        });
        expect(typeof result.ok).toBe("boolean");
      }),
      { numRuns: 300 },
    );
  });

  test("with one answer of a sound dialogue altered ends in a result", () => {
    const sound = card({ extra: [[0x9f49, "9F3704"]], otherwise: "6A82" });
    const altered = fc.record({ turn: fc.nat(8), at: fc.nat(300), byte: fc.nat(255), cut: fc.nat(40) });
    fc.assert(
      fc.property(altered, fc.constantFrom("E028C8", "E028C0", "E02880"), ({ turn, at, byte, cut }, capabilities) => {
        let turns = 0;
        const { result } = ask(ready({ terminal: { capabilities: fromHex(capabilities) } }), (command) => {
          const answer = fromHex(command.startsWith("80AE") ? plain("40") : sound(command));
          turns += 1;
          if (turns - 1 !== turn) return toHex(answer);
          const { data } = decodeResponse(answer);
          const bytes = data.slice(0, Math.max(0, data.length - (cut > 30 ? cut - 30 : 0)));
          if (at < bytes.length) bytes[at] = byte;
          return `${toHex(bytes)}9000`;
        });
        expect(typeof result.ok).toBe("boolean");
      }),
      { numRuns: 300 },
    );
  });

  test("to GENERATE AC, first and second, ends in a result", () => {
    const answer = fc.oneof(
      anything.map((data) => toHex(data)),
      fc.constantFrom(plain("00"), plain("40"), plain("80"), plain("C0")).map((hex) => hex.slice(0, -4)),
    );
    fc.assert(
      fc.property(
        answer,
        answer,
        status,
        fc.constantFrom<CryptogramType>("TC", "ARQC", "AAC"),
        (one, two, word, type) => {
          const { transaction } = readied();
          const first = ends(firstCryptogram(transaction, type), () => ({ data: fromHex(one), status: 0x9000 }));
          if (!first.ok || first.value.type !== "ARQC") return;
          const scripts = [fromHex(`7102${two.slice(0, 4).padEnd(4, "0")}`)];
          const completed = ends(
            completeTransaction(transaction, { was: "answered", approved: true, responseCode: "00", scripts }),
            () => ({ data: fromHex(two), status: word }),
          );
          expect(typeof completed.ok).toBe("boolean");
        },
      ),
      { numRuns: 300 },
    );
  });
});
