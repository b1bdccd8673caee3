import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { loadHubTls } from "../tls.ts";
import { shownUntil } from "./shown-certificate.ts";

const DAY_MS = 86_400_000;
const look = (port: number, signal = new AbortController().signal) =>
  shownUntil({ host: "127.0.0.1", port, clock: systemClock, signal });

test("the end of a certificate is seen, also when it is over and the server wants one of its own from whoever connects", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tillway-shown-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const long = Date.now() - 500 * DAY_MS;
  const { key, chain, caCertificate } = await loadHubTls({ folder, names: [], now: long, random: systemRandom });
  const server = createServer({ key, cert: chain, ca: caCertificate, requestCert: true, rejectUnauthorized: true });
  server.on("tlsClientError", () => undefined);
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );
  expect(await look(port)).toBe(Date.parse(new X509Certificate(chain).validTo));
  const ended = new AbortController();
  ended.abort(new Error("stopped"));
  await expect(look(port, ended.signal)).rejects.toThrow();
  await new Promise((resolve) => server.close(resolve));
  await expect(look(port)).rejects.toMatchObject({ code: "transport.failed" });
});
