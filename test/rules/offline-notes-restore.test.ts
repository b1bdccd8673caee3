/** Notes whose allowance a hub forgot, because its file was restored from a backup. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NoteWorld } from "./note-fixture.ts";

test("RM18 an allowance that a restored hub does not know is staged again, as far as the account has it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tillway-notes-"));
  try {
    const world = await NoteWorld.open({ balanceMinor: 6_000n });
    const phone = await world.phone();
    const till = await world.till("till-1");
    world.backUp(join(folder, "hub.db"));
    await phone.load();
    till.sell(phone.wallet, 4_000n);
    await world.restore(join(folder, "hub.db"), till);
    expect(await world.balance(world.customer)).toBe(6_000n);
    expect(await till.sync()).toMatchObject([{ status: "processed" }]);
    expect(await world.balance("merchant:shop:EUR")).toBe(4_000n);
    expect([await world.balance(world.customer), await world.exposure(), await world.sum()]).toEqual([1_000n, 0n, 0n]);
    expect(await world.conflicts()).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
