/** A hub in memory behind all its HTTPS routes, without a port, and operators who ask it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../base/log.ts";
import { ok } from "../../base/result.ts";
import { createOperators, type Operators, type Role } from "../../hub/core/operators/index.ts";
import type { TerminalRouteParts } from "../../hub/core/terminals/index.ts";
import { buildHttpApp } from "../../hub/http-gateway.ts";
import type { HubStore } from "../../hub/store/store.ts";
import { loadHubTls } from "../../hub/tls.ts";
import { publicKeyText } from "../../wire/signing.ts";
import { type HubFixture, hubFixture, seededRandom } from "./hub-fixture.ts";

export const BOOTSTRAP_TOKEN = "a-token-in-the-data-folder";
export const PASSWORD = "correct horse battery";
const MINUTE_MS = 60_000;

export interface Asked {
  readonly bearer?: string;
  readonly body?: unknown;
  readonly key?: string;
  readonly address?: string;
}
export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, unknown>>;
}

export type OperatorHub = Awaited<ReturnType<typeof operatorHub>>;

type OperatorHubOptions = Parameters<typeof hubFixture>[0] & { readonly withoutBootstrap?: true };

export async function operatorHub(options: OperatorHubOptions = {}) {
  const fixture = await hubFixture(options);
  const { hub, clock, keys } = fixture;
  const folder = mkdtempSync(join(tmpdir(), "tillway-operators-"));
  const tls = await loadHubTls({ folder, names: [], now: clock.now(), random: seededRandom("tls") });
  rmSync(folder, { recursive: true });
  const operatorsOver = (store: HubStore, seed = "operators") =>
    createOperators({
      store,
      clock,
      random: seededRandom(seed),
      signing: keys.signing,
      secret: new Uint8Array(32),
      sessions: { idleMs: 30 * MINUTE_MS, lifeMs: 12 * 60 * MINUTE_MS },
      ...(options.withoutBootstrap ? {} : { bootstrapToken: BOOTSTRAP_TOKEN }),
    });
  const operators = operatorsOver(hub.store);
  const renewal = { one() {}, all() {} };
  const terminalParts = { ...terminalPartsOf(fixture), renewal };
  /** The terminal whose certificate a connection shows. */
  const shown = { terminalId: fixture.terminal.terminalId };
  const app = await buildHttpApp({
    hub,
    door: {
      admit: async () => ok({ ...shown, standing: "all", endsAt: Number.MAX_SAFE_INTEGER }),
      enrol: () => Promise.reject(new Error("nobody enrols")),
      renew: () => Promise.reject(new Error("nobody renews")),
    },
    tls,
    operators,
    version: "test",
    clock,
    log: silentLog,
    terminalParts,
    payerParts: {
      store: hub.store,
      payers: hub.payers,
      clock,
      hubSigningKey: "",
      claimHours: 1,
      renewal: terminalParts.renewal,
      address: terminalParts.address,
      isCustomer: (reading, id) => hub.authorisation.isCustomer(reading, id),
      receive: (signed, admit) => hub.receivePhone(signed, admit),
    },
  });
  const ask = async (method: "GET" | "POST", url: string, asked: Asked = {}): Promise<Answered> => {
    const { bearer, body, key, address = "127.0.0.1" } = asked;
    const answer = await app.inject({
      method,
      url,
      remoteAddress: address,
      headers: {
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        ...(key === undefined ? {} : { "idempotency-key": key }),
      },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
  };
  return Object.assign(fixture, { app, shown, operators, operatorsOver, renewal, ask, ...people(operators, ask) });
}

export const isRevoked = ({ hub, terminal }: HubFixture): Promise<boolean> =>
  hub.store.read((reading) => hub.terminals.isRevoked(reading, terminal.terminalId));

function people(operators: Operators, ask: (m: "POST", url: string, asked: Asked) => Promise<Answered>) {
  let kept: string | undefined;
  /** An account with the usual password; hashed once, as that is slow on purpose. */
  const add = async (name: string, role: Role): Promise<void> => {
    kept ??= await operators.passwords.hash(PASSWORD);
    const account = { name, role, password: kept };
    const added = await operators.store.transaction((within) => operators.accounts.add(within, account));
    if (!added.ok) throw new Error(added.error);
  };
  const logIn = async (name: string, password = PASSWORD): Promise<string> => {
    const { status, body } = await ask("POST", "/v1/sessions", { body: { name, password } });
    if (status !== 201) throw new Error(JSON.stringify(body));
    return String(body["session"]);
  };
  return {
    add,
    logIn,
    /** A new operator who has logged in. */
    async person(name: string, role: Role): Promise<string> {
      await add(name, role);
      return await logIn(name);
    },
    /** What the audit log says, oldest first. */
    async entries(): Promise<readonly Record<string, unknown>[]> {
      const written = await operators.store.read((reading) => operators.audit.after(reading, 0, 1_000));
      return written.map(({ text }) => JSON.parse(text) as Record<string, unknown>);
    },
  };
}

const terminalPartsOf = ({ hub, keys }: HubFixture): Omit<TerminalRouteParts, "renewal"> => ({
  store: hub.store,
  terminals: hub.terminals,
  keys: {
    hubSigningKey: publicKeyText(keys.signing.publicKey),
    sealingKey: { keyId: keys.sealing.keyId, publicKey: publicKeyText(keys.sealing.publicKey) },
  },
  claimHours: 1,
  sealing: keys.sealing,
  endSessions: () => {},
  takenOf: (reading, terminalId, epoch) => hub.ingest.taken(reading, { terminalId, epoch }),
  address: () => ({
    httpsUrl: "https://127.0.0.1:1",
    mqttUrl: "mqtts://127.0.0.1:1",
    caCertificate: "",
    caFingerprint: "0".repeat(64),
  }),
  factsOf: async () => ({ connected: false, epochs: [], findings: [] }),
});
