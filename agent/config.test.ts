import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { agentConfigJsonSchema, loadAgentConfig, tokenFileOf } from "./config.ts";

const CONFIG_FOLDER = join(import.meta.dirname, "../config");
const agentFiles = readdirSync(CONFIG_FOLDER).filter((name) => /^(?:countertop|vehicle).*\.yaml$/.test(name));

test.each(agentFiles)("config/%s is accepted as it stands", (name) => {
  const config = loadAgentConfig(join(CONFIG_FOLDER, name), {});
  expect(config.devices.length).toBeGreaterThan(0);
  expect(readFileSync(join(CONFIG_FOLDER, name), "utf8")).toMatch(/^#/);
});

function load(text: string) {
  const folder = mkdtempSync(join(tmpdir(), "tillway-agent-config-"));
  try {
    const path = join(folder, "agent.yaml");
    writeFileSync(path, text);
    return loadAgentConfig(path, {});
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const SITE = "site: {merchantName: A, timeZone: Europe/Paris, currency: JPY}\n";

test("a shop has to name itself, its currency and its time zone; the rest has defaults", () => {
  const config = load(SITE);
  expect(config).toMatchObject({
    dataDir: "/var/lib/tillway/agent",
    api: { host: "127.0.0.1", port: 8741 },
    payment: { onlineTimeoutMs: 5_000 },
    devices: [],
  });
  expect(tokenFileOf(config)).toBe("/var/lib/tillway/agent/api-token");
  expect(tokenFileOf(load(`${SITE}api: {tokenFile: /etc/t}`))).toBe("/etc/t");
});

test.each([
  [
    "site: {merchantName: A, timeZone: Europe/Atlantis, currency: EUR}",
    'key "site.timeZone" must be an IANA time zone',
  ],
  ["site: {merchantName: A, timeZone: '+02:00', currency: EUR}", 'key "site.timeZone" must be an IANA time zone'],
  ["site: {merchantName: A, timeZone: UTC, currency: EURO}", 'key "site.currency" must be an ISO 4217 code'],
  [`${SITE}api: {host: 0.0.0.0}`, 'key "api.host" must be "127.0.0.1", found the text "0.0.0.0"'],
  [`${SITE}payment: {onlineTimeoutMs: 3999}`, 'key "payment.onlineTimeoutMs" must be at least 4000, found 3999'],
  [`${SITE}devices: [{id: a, uri: pcsc}]`, 'key "devices[0].uri" must be a device URI such as'],
  [`${SITE}devices: [{id: a, uri: 'pcsc:*'}, {id: a, uri: 'pcsc:*'}]`, "a list in which no id comes twice"],
  [`${SITE}uplink: {mqttUrl: 'http://hub'}`, 'key "uplink.mqttUrl" must be a URL such as mqtts://'],
  [`${SITE}uplink: {mqttUrl: 'mqtt://hub'}`, 'key "uplink.mqttUrl" must be a URL such as mqtts://'],
  [`${SITE}uplink: {httpsUrl: 'http://hub'}`, 'key "uplink.httpsUrl" must be a URL such as https://'],
])("refuses %s", (text, line) => {
  expect(() => load(text)).toThrow(line);
});

test("publishes a JSON Schema that knows the keys", () => {
  expect(JSON.stringify(agentConfigJsonSchema())).toContain("cardTimeoutSec");
});
