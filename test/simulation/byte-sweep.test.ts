/** Whole simulated days with every fault, and then every byte on every disk and on paper: no secret may be in any (RM5). */
import { expect, test } from "vitest";
import { deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { TEST_ISSUER_MASTER_KEY } from "../../sim/card/profiles.ts";
import { type Secrets, type SweptFile, sweepForSecrets, sweptFiles } from "../tidy/byte-sweep.ts";
import { runSeed } from "./run-seed.ts";
import type { Shop } from "./shop.ts";
import { simulatedDisk } from "./simulated-disk.ts";

const SEEDS = ["sweep-1", "sweep-2", "sweep-3"];
const SALES = 120;

function secretsOf(shop: Shop): Secrets {
  const pans = shop.customers.map(({ pan }) => pan);
  const issuer = { issuerMasterKey: TEST_ISSUER_MASTER_KEY, sequenceNumber: "00", option: "A" } as const;
  const codes = shop.phones.flatMap(({ phone }) => phone.state.codes.map(({ secureCode }) => secureCode));
  const own = shop.terminals.flatMap(({ identity: { terminalId, signingKey, cardTokenKey } }) => [
    [`the key of ${terminalId}`, Buffer.from(signingKey.export({ format: "jwk" }).d ?? "", "base64url")] as const,
    [`the card tokens' key of ${terminalId}`, cardTokenKey.export()] as const,
  ]);
  return {
    cardNumbers: pans,
    texts: Object.fromEntries(codes.map((code, number) => [`code ${number}`, code])),
    keys: {
      "the issuer's master key": TEST_ISSUER_MASTER_KEY,
      ...Object.fromEntries(
        pans.map((pan) => [`the key of card ${pan.slice(-4)}`, deriveMasterKey({ ...issuer, pan })]),
      ),
      ...Object.fromEntries(own),
    },
  };
}

/** All disks, and what the printers have put on paper. */
function writtenIn(shop: Shop): readonly SweptFile[] {
  const papers = shop.terminals.map(({ id, counter }) => ({
    name: `paper of ${id}`,
    bytes: Buffer.from(JSON.stringify(counter.papers)),
  }));
  return [...shop.world.nodes.flatMap(({ name, volume }) => sweptFiles(name, volume)), ...papers];
}

test("RM5 no byte that simulated days leave on disks and paper has a card number, a track, a code or a key", async () => {
  const disk = simulatedDisk();
  let [codes, bytes] = [0, 0];
  for (const seed of SEEDS) {
    await runSeed({
      seed,
      disk,
      sales: SALES,
      every: true,
      onEnd(shop) {
        const secrets = secretsOf(shop);
        const files = writtenIn(shop);
        codes += Object.keys(secrets.texts ?? {}).length;
        bytes += files.reduce((sum, file) => sum + file.bytes.length, 0);
        expect(sweepForSecrets(files, secrets)).toEqual([]);
        const [first] = shop.customers;
        const planted = { name: "planted", bytes: Buffer.from(`{"pan":"${first?.pan}"}`) };
        expect(sweepForSecrets([...files, planted], secrets)).toMatchObject([{ file: "planted" }]);
      },
    });
  }
  expect(codes).toBeGreaterThan(0);
  expect(bytes).toBeGreaterThan(1_000_000);
});
