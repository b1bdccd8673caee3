/** Writes what the NATS servers before a hub are configured with: whom they believe, and what they show terminals in TLS. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MESSAGE_BYTES_MAX } from "../../wire/envelope.ts";
import type { ServerTls } from "../device-gateway.ts";
import type { BrokerAuthority } from "./broker-authority.ts";

export interface BrokerFiles {
  readonly folder: string;
  readonly authority: Pick<BrokerAuthority, "operator" | "systemAccount">;
  readonly tls: ServerTls;
}

/** A message of full size with its headers. */
const PAYLOAD_BYTES_MAX = MESSAGE_BYTES_MAX + 65_536;

/** The same for every server of a cluster, and safe to repeat. */
export function writeBrokerFiles({ folder, authority, tls }: BrokerFiles): void {
  const { operator, systemAccount } = authority;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The hub brings its own account: one that stood here would undo revocations at every start of a server.
  const lines = [
    "# Whom the servers before a Tillway hub believe. Include it, and add server_name, listen, jetstream, cluster and mqtt.",
    `operator: ${operator}`,
    `system_account: ${systemAccount.name}`,
    'resolver { type: full, dir: "./accounts", allow_delete: false, interval: "2m" }',
    `resolver_preload { ${systemAccount.name}: ${systemAccount.jwt} }`,
    `max_payload: ${PAYLOAD_BYTES_MAX}`,
    "",
  ];
  writeFileSync(join(folder, "authority.conf"), lines.join("\n"), { mode: 0o600 });
  writeFileSync(join(folder, "ca.pem"), tls.caCertificate, { mode: 0o644 });
  writeFileSync(join(folder, "server.pem"), tls.chain, { mode: 0o644 });
  writeFileSync(join(folder, "server-key.pem"), tls.key, { mode: 0o600 });
}
