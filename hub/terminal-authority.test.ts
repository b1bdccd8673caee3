import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemRandom, type TerminalId } from "../base/ids.ts";
import { newCsr } from "../test/rules/csr-fixture.ts";
import { openTerminalAuthority } from "./terminal-authority.ts";
import { loadHubTls } from "./tls.ts";

const T1 = "till.1-a_b" as TerminalId;
const NOW = Date.UTC(2026, 0, 5);
const DAY_MS = 86_400_000;

async function world() {
  const folder = mkdtempSync(join(tmpdir(), "tillway-authority-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  await loadHubTls({ folder, names: [], now: NOW, random: systemRandom });
  return { folder, authority: await openTerminalAuthority({ folder, days: 90, random: systemRandom }) };
}

test("a request becomes a client's certificate that names its terminal, and says when it was issued", async () => {
  const { folder, authority } = await world();
  const issued = await authority.issue({ terminalId: T1, csr: await newCsr("somebody else"), now: NOW });
  if (!issued.ok) throw new Error(issued.error);
  const shown = new X509Certificate(issued.value.pem);
  expect(shown).toMatchObject({
    subject: `CN=${T1}`,
    subjectAltName: `URI:urn:tillway:terminal:${T1}`,
    ca: false,
    keyUsage: ["1.3.6.1.5.5.7.3.2"],
  });
  expect(Date.parse(shown.validTo)).toBe(NOW + 90 * DAY_MS);
  expect(Date.parse(shown.validFrom)).toBe(DAY_MS);
  expect(authority.prove(shown)).toEqual(issued);
  expect(issued.value).toMatchObject({ terminalId: T1, issuedAt: NOW, endsAt: NOW + 90 * DAY_MS });
  const again = await openTerminalAuthority({ folder, days: 90, random: systemRandom });
  expect(again.prove(shown)).toEqual(issued);
});

test("no certificate, one of another authority and one that is no terminal's are told apart", async () => {
  const [own, other] = [await world(), await world()];
  const strange = await other.authority.issue({ terminalId: T1, csr: await newCsr("T1"), now: NOW });
  if (!strange.ok) throw new Error(strange.error);
  const server = readFileSync(join(own.folder, "server.pem"), "utf8");
  const ca = readFileSync(join(own.folder, "ca-certificate.pem"), "utf8");
  const { prove } = own.authority;
  expect(prove(undefined)).toEqual({ ok: false, error: "missing" });
  // Both authorities have the same name.
  expect(prove(new X509Certificate(strange.value.pem))).toEqual({ ok: false, error: "authority" });
  expect(prove(new X509Certificate(server.slice(server.indexOf("-----BEGIN CERT"))))).toEqual({
    ok: false,
    error: "form",
  });
  expect(prove(new X509Certificate(ca))).toEqual({ ok: false, error: "form" });
});

test("what is no request, is over another kind of key or was changed since it was signed is refused", async () => {
  const { authority } = await world();
  const good = Buffer.from(await newCsr("T1"), "base64");
  const forged = Buffer.from(good);
  forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
  for (const csr of ["", "AAAA", good.subarray(0, 100).toString("base64"), await newCsr("T1", "P-384")])
    expect(await authority.issue({ terminalId: T1, csr, now: NOW })).toEqual({
      ok: false,
      error: expect.stringContaining("not a PKCS #10"),
    });
  expect(await authority.issue({ terminalId: T1, csr: forged.toString("base64"), now: NOW })).toMatchObject({
    ok: false,
  });
});
