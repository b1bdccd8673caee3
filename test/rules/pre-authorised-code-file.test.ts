import { expect, test } from "vitest";
import { counter, registered } from "./phone-fixture.ts";

test("R3 the code stands nowhere in the bytes of the database, whether it was right or wrong", async () => {
  const at = await counter();
  const code = await registered(at);
  await at.pay("p1", code);
  await at.pay("w1", { ...code, userId: "ben" });
  const bytes = at.fixture.database.serialize();
  expect(bytes.includes(code.userId)).toBe(true);
  expect(bytes.includes(code.secureCode)).toBe(false);
});
