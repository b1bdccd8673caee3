import { expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { type Fields, silentLog } from "../base/log.ts";
import { keepCertificate } from "./server-certificate.ts";
import type { HubTls } from "./tls.ts";

const DAY_MS = 86_400_000;
const tlsOf = (chain: string): HubTls => ({ key: "", chain, caCertificate: "", caFingerprint: "" });

function world(shownUntil?: () => Promise<number>) {
  const clock = new ManualClock();
  const warnings: Fields[] = [];
  const log = { ...silentLog, warn: (_message: string, fields: Fields = {}) => void warnings.push(fields) };
  const renewed: string[] = [];
  const at = { clock, warnings, renewed, chain: "first", stop: () => Promise.resolve() };
  at.stop = keepCertificate({
    gateways: [{ renewTls: ({ chain }) => renewed.push(chain), ...(shownUntil && { shownUntil }) }],
    first: tlsOf("first"),
    loadTls: () => Promise.resolve(tlsOf(at.chain)),
    clock,
    log,
  });
  return at;
}

test("a certificate that was made anew is shown from the next look on, which is a day later", async () => {
  const at = world();
  at.chain = "second";
  await at.clock.advance(DAY_MS - 1);
  expect(at.renewed).toEqual([]);
  await at.clock.advance(DAY_MS + 1);
  expect(at.renewed).toEqual(["second"]);
  expect(at.warnings).toEqual([]);
});

test("brokers whose certificate ends within 30 days are told of at the start and daily, until they show the next one", async () => {
  let endsAt = new ManualClock().now() + 30 * DAY_MS;
  const at = world(() => Promise.resolve(endsAt));
  await at.clock.advance(0);
  expect(at.warnings).toEqual([]);
  endsAt -= DAY_MS;
  const restarted = world(() => Promise.resolve(endsAt));
  await restarted.clock.advance(0);
  await restarted.clock.advance(2 * DAY_MS);
  const told = { endsAt: new Date(endsAt).toISOString() };
  expect(restarted.warnings).toEqual([told, told, told]);
  endsAt += 397 * DAY_MS;
  await restarted.clock.advance(2 * DAY_MS);
  expect(restarted.warnings).toHaveLength(3);
});

test("brokers that cannot be looked at are told of, and a hub that stops does not wait for them", async () => {
  const at = world(() => Promise.reject(new Error("nothing listens")));
  await at.clock.advance(DAY_MS);
  expect(at.warnings).toEqual([{ reason: "nothing listens" }, { reason: "nothing listens" }]);
  await at.stop();
  await at.clock.advance(2 * DAY_MS);
  expect(at.warnings).toHaveLength(2);
});
