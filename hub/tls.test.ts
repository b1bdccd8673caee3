import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { systemRandom } from "../base/ids.ts";
import { loadHubTls } from "./tls.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tillway-tls-"));
  folders.push(folder);
  return folder;
}
const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 0, 5);
const leafOf = (chain: string) => new X509Certificate(chain);

test("the server's certificate is issued by the authority for its names, with keys that only the owner reads", async () => {
  const folder = newFolder();
  const tls = await loadHubTls({ folder, names: ["hub.test", "10.0.0.7"], now: NOW, random: systemRandom });
  const [leaf, ca] = [leafOf(tls.chain), new X509Certificate(tls.caCertificate)];
  expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey) && ca.verify(ca.publicKey)).toBe(true);
  expect([ca.ca, leaf.ca]).toEqual([true, false]);
  for (const name of ["hub.test", "localhost"]) expect(leaf.checkHost(name)).toBe(name);
  for (const address of ["10.0.0.7", "127.0.0.1"]) expect(leaf.checkIP(address)).toBe(address);
  expect(tls.caFingerprint).toBe(ca.fingerprint256.replaceAll(":", "").toLowerCase());
  for (const file of ["ca.pem", "server.pem"]) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
});

test("both are kept over restarts; the server's is made anew when it ends soon or lacks a name, the authority never", async () => {
  const folder = newFolder();
  const load = (now: number, names: readonly string[] = []) => loadHubTls({ folder, names, now, random: systemRandom });
  const first = await load(NOW);
  expect(await load(NOW)).toEqual(first);
  expect(await load(NOW + 366 * DAY_MS)).toEqual(first);
  const renewed = await load(NOW + 368 * DAY_MS);
  expect(renewed.chain).not.toBe(first.chain);
  const named = await load(NOW + 368 * DAY_MS, ["shop.test"]);
  expect(leafOf(named.chain).checkHost("shop.test")).toBe("shop.test");
  expect(named.caFingerprint).toBe(first.caFingerprint);
});
