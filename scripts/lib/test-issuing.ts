/** Makes a hub the issuer of the simulated cards, so that a counter checks their cryptograms as an issuer would. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sameBytes, toHex } from "../../base/bytes.ts";
import { testCaKeyList, testRevokedList } from "../../sim/card/mint/test-keys.ts";
import { CARD_PROFILES, TEST_ISSUER_MASTER_KEY } from "../../sim/card/profiles.ts";

const TEST_RANGE = "476173";

interface TestRange {
  readonly bin: string;
  readonly cryptogramVersion: 10 | 18 | "common-core";
  readonly arpcMethod: 1 | 2;
}

/** The range of the test cards, and beside it each card that differs from the rest of it. */
function testRanges(): readonly TestRange[] {
  const ordinary: TestRange = { bin: TEST_RANGE, cryptogramVersion: 18, arpcMethod: 1 };
  const applications = CARD_PROFILES.flatMap((card) => [card, ...(card.further ?? [])])
    .filter(({ issuerMasterKey }) => sameBytes(issuerMasterKey, TEST_ISSUER_MASTER_KEY))
    .map(({ pan, cryptogramVersion = 18, issuerAuthentication }) => ({
      // Without its check digit it is as good a prefix, and no card number stands in a configuration.
      bin: pan.slice(0, -1),
      cryptogramVersion,
      arpcMethod: issuerAuthentication?.method ?? 1,
    }));
  const isOrdinary = ({ bin, cryptogramVersion, arpcMethod }: TestRange) =>
    bin.startsWith(TEST_RANGE) && cryptogramVersion === 18 && arpcMethod === 1;
  return [ordinary, ...applications.filter((range) => !isOrdinary(range))];
}

/** Writes the key file into `folder` and returns the line of the hub's configuration that names it. */
export function testIssuing(folder: string): string {
  const masterKeyFile = join(folder, "issuer-master-key.hex");
  writeFileSync(masterKeyFile, `${toHex(TEST_ISSUER_MASTER_KEY)}\n`, { mode: 0o600 });
  // Option B is option A for numbers of up to 16 digits, and what the common-core version asks for.
  const issuing = testRanges().map((range) => ({ ...range, masterKeyFile, derivation: "B" }));
  return `issuing: ${JSON.stringify(issuing)}`;
}

/**
 * Writes the test authorities' keys into `folder` and returns the lines of the agent's configuration that name them, with
 * what else is to stand under `emv`.
 */
export function testKeyLines(folder: string, emv: Readonly<Record<string, number>> = {}): readonly string[] {
  const [caKeysFile, revokedFile] = [join(folder, "capk.json"), join(folder, "revoked.json")];
  writeFileSync(caKeysFile, JSON.stringify(testCaKeyList()));
  writeFileSync(revokedFile, JSON.stringify(testRevokedList()));
  return [`emv: ${JSON.stringify({ caKeysFile, revokedFile, ...emv })}`];
}
