import { mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../base/config-file.ts";
import { HUB_ENV_PREFIX, HubConfigSchema } from "../../hub/config.ts";
import { loadCardRanges } from "../../hub/issuing-keys.ts";
import { TEST_ISSUER_MASTER_KEY } from "../../sim/card/profiles.ts";
import { testIssuing } from "./test-issuing.ts";

test("the counter's hub takes the line, and each simulated card has its range with its version and method", () => {
  const folder = mkdtempSync(join(tmpdir(), "counter-"));
  const path = join(folder, "hub.yaml");
  writeFileSync(path, `dataDir: ${folder}\n${testIssuing(folder)}\n`);
  expect(statSync(join(folder, "issuer-master-key.hex")).mode & 0o777).toBe(0o600);
  const config = loadConfig({ path, schema: HubConfigSchema, env: {}, envPrefix: HUB_ENV_PREFIX });
  const ranges = loadCardRanges(config);
  for (const range of ranges) expect(range.issuerMasterKey).toEqual(TEST_ISSUER_MASTER_KEY);
  expect(ranges).toContainEqual(expect.objectContaining({ bin: "476173", cryptogramVersion: 18, arpcMethod: 1 }));
  expect(ranges).toContainEqual(expect.objectContaining({ bin: "541333008902001", cryptogramVersion: 18 }));
  expect(ranges).toContainEqual(expect.objectContaining({ cryptogramVersion: 10, arpcMethod: 1 }));
  expect(ranges).toContainEqual(expect.objectContaining({ cryptogramVersion: "common-core", arpcMethod: 2 }));
});
