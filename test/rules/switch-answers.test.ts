/** Answers of issuers that cannot be read: he may have done anything, and what was decided without him is told to him (RM1). */
import { expect, onTestFinished, test, vi } from "vitest";
import { IssuerLink, type LinkAnswer } from "../../hub/core/issuers/index.ts";
import { DE } from "../../protocols/iso8583/message.ts";
import { ANNA, advicesOf, BALANCE, euros, switchStand, until, viewOf } from "./switch-stand.ts";

/** As a table would have it whose DE 39 is no text. */
function unreadable(answer: LinkAnswer): LinkAnswer {
  if (answer.what !== "answered") return answer;
  const { message } = answer;
  return { ...answer, message: { ...message, fields: { ...message.fields, [DE.responseCode]: Uint8Array.of(0) } } };
}

test("RM1 what the issuer posted is taken back where his answer cannot be read and stand-in declines", async () => {
  await using stand = await switchStand();
  const { request } = IssuerLink.prototype;
  const spy = vi.spyOn(IssuerLink.prototype, "request");
  onTestFinished(() => spy.mockRestore());
  spy.mockImplementationOnce(async function (this: IssuerLink, ...asked) {
    return unreadable(await request.apply(this, asked));
  });
  expect(await stand.buy("p-1", euros(10_001))).toMatchObject({ outcome: "declined", reason: "E_LIMIT" });
  await until(stand, async () => (await viewOf(stand)).advices.open === 0);
  expect((await advicesOf(stand)).map(({ kind }) => kind)).toEqual(["reversal", "advice"]);
  expect(stand.booked("p-1")).toMatchObject({ postedMinor: "0", attempts: { "1": "reversed" } });
  expect(stand.issuer.books.account(ANNA)?.balanceMinor).toBe(BALANCE);
});
