/** A terminal that is enrolled with a hub of a test: its identity file, as an enrolment would have written it. */
import { mkdirSync } from "node:fs";
import { storeIdentity } from "../../agent/identity.ts";
import type { TerminalId } from "../../base/ids.ts";
import { newSigningKeys, privateKeyText, publicKeyText } from "../../wire/signing.ts";
import { hubKeys, sealingKeys } from "../rules/lease-fixture.ts";
import type { Authority, TestHub } from "./uplink-hub.ts";

/** What the terminal says it is; a test hub that knows another refuses it. */
export const TERMINAL_BEARER = "b".repeat(40);

export function enrolInto(
  dataDir: string,
  { authority, hub }: { readonly authority: Authority; readonly hub: TestHub },
): void {
  mkdirSync(dataDir, { mode: 0o700 });
  storeIdentity(dataDir, {
    v: 1,
    terminalId: "till-1" as TerminalId,
    bearer: TERMINAL_BEARER,
    caCertificate: authority.certificate,
    mqttUrl: `mqtts://127.0.0.1:${hub.mqttPort}`,
    httpsUrl: `https://127.0.0.1:${hub.httpsPort}`,
    hubSigningKey: publicKeyText(hubKeys.publicKey),
    sealingKey: { keyId: "k1", publicKey: publicKeyText(sealingKeys.publicKey) },
    cardTokenKey: Buffer.alloc(32, 7).toString("base64"),
    signingPrivateKey: privateKeyText(newSigningKeys().privateKey),
  });
}
