/** What a counter of real processes writes into the configurations of its hub and its agent. */
import { join } from "node:path";
import { testIssuing, testKeyLines } from "./test-issuing.ts";

export type CounterDevice = "reader" | "printer" | "scanner";

export interface CounterLease {
  readonly perSaleMinor: number;
  readonly sumMinor: number;
  readonly countMax: number;
  readonly deferredAuthorisation?: boolean;
  readonly means?: readonly ("chip" | "contactless" | "note")[];
  readonly perPayer?: { readonly countMax: number; readonly sumMinor: number };
}

export interface HubPorts {
  readonly https: number;
  readonly mqtts: number;
}

const ORDINARY_LEASE: CounterLease = { perSaleMinor: 5_000, sumMinor: 20_000, countMax: 50 };

export interface HubYaml {
  readonly folder: string;
  readonly host: string;
  readonly ports: HubPorts;
  readonly lease: CounterLease | undefined;
  readonly lines: readonly string[];
  /** Where terminals are told to connect, in the place of the hub's own. */
  readonly front?: HubPorts;
}

export function hubYaml({ folder, host, ports, lease = ORDINARY_LEASE, lines, front }: HubYaml): string {
  const { sumMinor, countMax } = lease;
  // One card buys everything in most shops of tests.
  const limits = { perPayer: { sumMinor, countMax }, ...lease, hours: 24, currency: "EUR" };
  return [
    `dataDir: ${join(folder, "hub")}`,
    `listen: { host: ${host}, httpsPort: ${ports.https}, mqttPort: ${ports.mqtts} }`,
    `public: { host: ${host}${front ? `, httpsPort: ${front.https}, mqttPort: ${front.mqtts}` : ""} }`,
    `lease: ${JSON.stringify(limits)}`,
    testIssuing(folder),
    ...lines,
    "",
  ].join("\n");
}

export interface AgentYaml {
  readonly folder: string;
  readonly dataDir: string;
  readonly emv: Readonly<Record<string, number>>;
  readonly devices: readonly CounterDevice[];
  readonly pcscSocket: string;
  readonly scannerUri: string;
  /** In the place of those that the enrolment told. */
  readonly hubPorts?: HubPorts;
  readonly hubHost: string;
  readonly reserveMb: number | undefined;
  /** None is given when absent. */
  readonly cashbackMaxMinor: number | undefined;
}

export function agentYaml(options: AgentYaml): string {
  const { folder, dataDir, emv, devices, pcscSocket, scannerUri, hubPorts, hubHost, reserveMb, cashbackMaxMinor } =
    options;
  const cashback = cashbackMaxMinor === undefined ? "" : `, cashback: { maxMinor: ${cashbackMaxMinor} }`;
  const uris: Readonly<Record<CounterDevice, string>> = {
    reader: `pcsc:*?socket=${pcscSocket}`,
    printer: `serial:${join(folder, "printer")}?baud=115200`,
    scanner: scannerUri,
  };
  return [
    `dataDir: ${dataDir}`,
    "api: { port: 0 }",
    "site:",
    "  merchantName: Tillway Demo Shop",
    "  addressLines: [1 Harbour Street, 20457 Hamburg]",
    "  timeZone: Europe/Berlin",
    "  locale: en",
    "  currency: EUR",
    "  countryCode: 276",
    "devices:",
    ...devices.map((id) => `  - { id: ${id}, uri: ${JSON.stringify(uris[id])} }`),
    `payment: { cardTimeoutSec: 30, onlineTimeoutMs: 4000${cashback} }`,
    ...(hubPorts
      ? [
          `uplink: { mqttUrl: "mqtts://${hubHost}:${hubPorts.mqtts}", httpsUrl: "https://${hubHost}:${hubPorts.https}" }`,
        ]
      : []),
    ...testKeyLines(folder, emv),
    ...(reserveMb === undefined ? [] : [`reserve: { diskMb: ${reserveMb} }`]),
    "log: { level: info }",
    "",
  ].join("\n");
}
