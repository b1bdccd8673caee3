/** A terminal that is enrolled with a hub of a test: its identity file, as an enrolment would have written it. */
import { createPrivateKey } from "node:crypto";
import { mkdirSync } from "node:fs";
import { storeIdentity } from "../../agent/identity.ts";
import type { TerminalId } from "../../base/ids.ts";
import { newSigningKeys, privateKeyText, publicKeyText } from "../../wire/signing.ts";
import { hubKeys, sealingKeys } from "../rules/lease-fixture.ts";
import type { Authority, TestHub } from "./uplink-hub.ts";

export async function enrolInto(
  dataDir: string,
  { authority, hub }: { readonly authority: Authority; readonly hub: TestHub },
): Promise<void> {
  mkdirSync(dataDir, { mode: 0o700 });
  const { key, certificate, renewAfter } = await authority.issueTerminal();
  const privateKey = createPrivateKey(key).export({ type: "pkcs8", format: "der" }).toString("base64");
  storeIdentity(dataDir, {
    v: 1,
    terminalId: "till-1" as TerminalId,
    tls: { privateKey, certificate, renewAfter: new Date(renewAfter).toISOString() },
    caCertificate: authority.certificate,
    mqttUrl: `mqtts://127.0.0.1:${hub.mqttPort}`,
    httpsUrl: `https://127.0.0.1:${hub.httpsPort}`,
    hubSigningKey: publicKeyText(hubKeys.publicKey),
    sealingKey: { keyId: "k1", publicKey: publicKeyText(sealingKeys.publicKey) },
    cardTokenKey: Buffer.alloc(32, 7).toString("base64"),
    signingPrivateKey: privateKeyText(newSigningKeys().privateKey),
  });
}
