/**
 * Hears what agent and hub say to each other inside TLS: it ends the agent's connection with the hub's own certificate and
 * opens one to the hub with the agent's own. Beside it, whatever a test was answered or told.
 */
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer, type Server } from "node:tls";
import { identityPath, loadIdentity } from "../../agent/identity.ts";
import type { HubPorts } from "../../scripts/lib/counter-config.ts";
import type { SweptFile } from "../tidy/byte-sweep.ts";

export class Wire implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #heard = new Map<string, Buffer[]>();
  #connections = 0;
  #agentFolder = "";

  /** Relays to these ports of 127.0.0.1; gives its own. `serverPem` holds the hub's key and certificate. */
  async open(hub: HubPorts, serverPem: string, agentFolder: string): Promise<HubPorts> {
    this.#agentFolder = agentFolder;
    const pem = readFileSync(serverPem, "utf8");
    return { https: await this.#listen("https", hub.https, pem), mqtts: await this.#listen("mqtt", hub.mqtts, pem) };
  }

  note(name: string, text: string | Buffer): void {
    const kept = this.#heard.get(name) ?? [];
    kept.push(Buffer.from(text));
    this.#heard.set(name, kept);
  }

  /** One file for each connection and direction: what was split on the wire is whole again. */
  files(): readonly SweptFile[] {
    return [...this.#heard].map(([name, parts]) => ({ name: `heard: ${name}`, bytes: Buffer.concat(parts) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  async #listen(what: string, port: number, pem: string): Promise<number> {
    const server = createServer({ key: pem, cert: pem }, (agent) => this.#join(what, agent, port));
    this.#servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  #join(what: string, agent: Socket, port: number): void {
    const enrolled = existsSync(identityPath(this.#agentFolder));
    const tls = enrolled ? loadIdentity(this.#agentFolder).tls : undefined;
    const own = tls ? { key: tls.key, cert: tls.certificate } : {};
    const hub = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...own });
    const name = `${what} ${++this.#connections}`;
    for (const [from, to, side] of [
      [agent, hub, "from the agent"],
      [hub, agent, "from the hub"],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => from.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on("data", (chunk: Buffer) => {
        this.note(`${name} ${side}`, chunk);
        to.write(chunk);
      });
    }
  }
}
