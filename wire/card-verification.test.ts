/** What people read of a field that is wrong. */
import { expect, test } from "vitest";
import { CardIdSchema, CardResponseSchema } from "./card-verification.ts";
import { firstIssue } from "./signing.ts";

test("a field of one length says that length, and one of several says both ends", () => {
  const id = CardIdSchema.safeParse("zz");
  if (id.success) throw new Error("no refusal");
  expect(firstIssue(id.error)).toMatch(/8 bytes in hex$/);
  expect(firstIssue(id.error)).not.toContain(" to ");
  const ids = { txnId: "C-1", challengeId: "0".repeat(24) };
  const response = CardResponseSchema.safeParse({ ...ids, answer: "00".repeat(65) });
  if (response.success) throw new Error("no refusal");
  expect(firstIssue(response.error)).toBe("answer: 1 to 64 bytes in hex");
});
