import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../base/config-file.ts";
import type { TerminalId } from "../base/ids.ts";
import { HUB_ENV_PREFIX, HubConfigSchema, policyOf } from "./config.ts";

const path = join(import.meta.dirname, "..", "config", "hub.yaml");
const load = (env: Record<string, string> = {}) =>
  loadConfig({ path, schema: HubConfigSchema, env, envPrefix: HUB_ENV_PREFIX });

test("the file that is shipped says the defaults", () => {
  expect(load()).toEqual(HubConfigSchema.parse({}));
});

test("the file of a replica names a database, brokers and where terminals are told to connect", () => {
  const replica = join(import.meta.dirname, "..", "config", "hub.cluster.yaml");
  const config = loadConfig({ path: replica, schema: HubConfigSchema, env: {}, envPrefix: HUB_ENV_PREFIX });
  expect(config).toMatchObject({
    store: { kind: "postgres" },
    ingest: { kind: "nats", replicas: 3 },
    public: { mqttPort: 8883 },
  });
});

test.each(["http://nats-1:4222", "nats://user:secret@nats-1:4222", "nats-1"])(
  "%s is no address of a broker",
  (server) => {
    expect(HubConfigSchema.safeParse({ ingest: { kind: "nats", servers: [server] } }).success).toBe(false);
  },
);

test("the environment overrides a key, and a wrong value names it", () => {
  expect(load({ TILLWAY_HUB_LISTEN_HTTPS_PORT: "0" }).listen.httpsPort).toBe(0);
  expect(() => load({ TILLWAY_HUB_LISTEN_HTTPS_PORT: "x" })).toThrow(/TILLWAY_HUB_LISTEN_HTTPS_PORT|listen\.httpsPort/);
});

test("a terminal with a lease of its own gets that one, and none where it is off", () => {
  const config = HubConfigSchema.parse({ leases: { T1: { perSaleMinor: 1 }, T2: { enabled: false } } });
  const policy = policyOf(config);
  expect(policy.leaseOf("T1" as TerminalId)?.perSaleMinor).toBe(1n);
  expect(policy.leaseOf("T2" as TerminalId)).toBeUndefined();
  expect(policy.leaseOf("toString" as TerminalId)?.perSaleMinor).toBe(5_000n);
});

test("names and addresses of both kinds are taken, and what is neither is refused by its key", () => {
  const listen = (host: string) => load({ TILLWAY_HUB_LISTEN_HOST: host }).listen.host;
  for (const host of ["::", "::1", "fd00::7", "0.0.0.0", "10.0.0.7", "hub.shop.test"]) expect(listen(host)).toBe(host);
  for (const host of ["10.0.0.7:8743", "https://hub", "-hub", ""]) expect(() => listen(host)).toThrow(/listen\.host/);
});

test("a range of cards belongs to one institution, and to none where this hub issues the cards", () => {
  const issuer = (id: string, ...ranges: string[]) => ({ id, ranges, host: "bank.test", port: 8583 });
  const parse = (issuers: unknown[], bin = "999999") =>
    HubConfigSchema.parse({ issuers, issuing: [{ bin, masterKeyFile: "master.key" }] });
  expect(parse([issuer("bank-1", "4761", "4761"), issuer("bank-2", "476173")]).issuers).toHaveLength(2);
  expect(() => parse([issuer("bank-1", "51", "476173"), issuer("bank-2", "476173")])).toThrow(
    /476173 belongs to bank-1 and bank-2/,
  );
  for (const bin of ["476173", "47617"])
    expect(() => parse([issuer("bank-1", "476173")], bin)).toThrow(
      new RegExp(`476173 of bank-1 never counts: this hub issues the cards of ${bin}`),
    );
  expect(parse([issuer("bank-1", "476173")], "47617390").issuers).toHaveLength(1);
});

test("a store is SQLite, or PostgreSQL by URLs that hold no password", () => {
  const store = (store: unknown) => HubConfigSchema.parse({ store }).store;
  const urls = ["postgres://tillway@db-1:5432/tillway", "postgresql://db-2/tillway"];
  expect(store({ kind: "postgres", urls })).toEqual({ kind: "postgres", urls });
  for (const url of ["mysql://db-1/tillway", "db-1:5432", ""])
    expect(() => store({ kind: "postgres", urls: [url] })).toThrow(/postgres:\/\/user@host:port\/database/);
  const secret = "postgres://tillway:hunter2@db-1/tillway";
  expect(() => store({ kind: "postgres", urls: [secret] })).toThrow(/no password here: PGPASSFILE/);
  expect(() => store({ kind: "postgres", urls: [] })).toThrow();
  expect(() => store({ kind: "files" })).toThrow();
});

test("institutions that delegate have no more ranges than a lease can name beside a full deny list", () => {
  const issuer = (id: string, ranges: readonly string[]) => ({
    ...{ id, ranges, host: "h", port: 1 },
    standIn: { publicKeyFile: "f" },
  });
  const rangesOf = (bank: number) =>
    Array.from({ length: 1_000 }, (_, index) => `1${bank}`.padEnd(14, "0") + (10_000 + index));
  const issuers = (count: number) => Array.from({ length: count }, (_, bank) => issuer(`bank-${bank}`, rangesOf(bank)));
  expect(HubConfigSchema.safeParse({ issuers: issuers(6) }).success).toBe(true);
  const refused = HubConfigSchema.safeParse({ issuers: issuers(7) });
  expect(refused.error?.issues).toMatchObject([
    { path: ["issuers"], message: expect.stringContaining("too many ranges for one lease") },
  ]);
});
