/** The hub's two listeners on TLS with a fresh authority, and a TCP proxy that can cut, freeze or block: for the uplink's tests. */
import "reflect-metadata";
import { createHash, webcrypto } from "node:crypto";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import * as x509 from "@peculiar/x509";
import { Aedes } from "aedes";
import type { TlsIdentity } from "../../agent/identity.ts";
import { type DownEnvelope, decodeUp, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { DOWN_STREAM_OF, downTopic, UPLINK_PATH } from "../../wire/topics.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

const pem = (label: string, der: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64").replace(/.{64}/g, "$&\n")}\n-----END ${label}-----\n`;

export interface Authority {
  readonly certificate: string;
  /** SHA-256 of its DER, in hex. */
  readonly fingerprint: string;
  /** A leaf for these names, with the authority behind it, as a hub shows it. */
  issue(names: readonly x509.JsonGeneralName[]): Promise<{ cert: string; key: string }>;
  /** The PEM of a leaf for the key of this request, which is base64 of its DER. */
  certify(csr: string): Promise<string>;
  /** What a terminal shows. */
  issueTerminal(): Promise<TlsIdentity>;
}

const TERMINAL_NAMES: readonly x509.JsonGeneralName[] = [{ type: "url", value: "urn:tillway:terminal:till-1" }];

export async function newAuthority(name = "CN=Test authority"): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name,
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys: keys as CryptoKeyPair,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  let serial = 1;
  const leafFor = (publicKey: CryptoKey, names: readonly x509.JsonGeneralName[]) => {
    serial += 1;
    return x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, "0"),
      subject: "CN=Test hub",
      issuer: root.subject,
      ...validity,
      signingAlgorithm: ALGORITHM,
      publicKey,
      signingKey: keys.privateKey as CryptoKey,
      extensions: [new x509.SubjectAlternativeNameExtension([...names])],
    });
  };
  const authority: Authority = {
    certificate: root.toString("pem"),
    fingerprint: createHash("sha256").update(new Uint8Array(root.rawData)).digest("hex"),
    async issueTerminal() {
      const { cert, key } = await authority.issue(TERMINAL_NAMES);
      const endsAt = validity.notAfter.getTime();
      return { key, certificate: cert, endsAt, renewAfter: endsAt };
    },
    async certify(csr) {
      const request = new x509.Pkcs10CertificateRequest(Buffer.from(csr, "base64"));
      return (await leafFor(await request.publicKey.export(), TERMINAL_NAMES)).toString("pem");
    },
    async issue(names) {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
      const leaf = await leafFor(own.publicKey as CryptoKey, names);
      const key = pem("PRIVATE KEY", await webcrypto.subtle.exportKey("pkcs8", own.privateKey));
      return { cert: `${leaf.toString("pem")}\n${root.toString("pem")}\n`, key };
    },
  };
  return authority;
}

/** Where the hub of these tests answers. */
export const LOOPBACK: readonly x509.JsonGeneralName[] = [
  { type: "ip", value: "127.0.0.1" },
  { type: "dns", value: "localhost" },
];

export interface Post {
  readonly path: string;
  readonly text: string;
}
interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}
export interface Received {
  readonly via: "mqtt" | "https";
  readonly envelope: UpEnvelope;
}

const listen = (server: Server | TlsServer | HttpsServer): Promise<number> =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));

export class TestHub implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly sockets = new Set<Socket>();
  /** While set, no certificate is good enough. */
  knowsNobody = false;
  mqttPort = 0;
  httpsPort = 0;
  /** What the hub answers to an envelope. */
  reply: (envelope: UpEnvelope) => readonly DownEnvelope[] = () => [];
  /** What every envelope over HTTPS is answered with instead, where it is set. */
  refusing: number | undefined;
  /** So many of the next envelopes over HTTPS come too soon. */
  busy = 0;
  /** While set, publishes get no acknowledgement and no answer. */
  holding = false;
  /** What other paths answer. */
  other: (post: Post) => HttpAnswer | Promise<HttpAnswer> = () => ({ status: 404, body: {} });
  #broker: Aedes | undefined;
  #servers: (TlsServer | HttpsServer)[] = [];
  #waiters: (() => void)[] = [];

  /** Takes the terminals of the authority that stands last in this chain. */
  async start(certificate: { cert: string; key: string }): Promise<this> {
    const ca = certificate.cert.split(/(?<=-----END CERTIFICATE-----\n)/).findLast((one) => one.includes("BEGIN"));
    const secure = { ...certificate, ca, requestCert: true, rejectUnauthorized: false };
    const broker = await Aedes.createBroker();
    this.#broker = broker;
    broker.authenticate = (client, _user, _password, done) => {
      if (this.#knows(client.conn as TLSSocket)) done(null, true);
      else done(Object.assign(new Error("refused"), { returnCode: 5 }), false);
    };
    broker.authorizePublish = (client, packet, done) => {
      if (client && this.holding) this.#take("mqtt", packet.payload);
      else {
        done(null);
        if (client) this.#answerByMqtt(packet.payload);
      }
    };
    const mqtt = createTlsServer(secure, (socket) => broker.handle(socket));
    const https = createHttpsServer(secure, (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const known = this.#knows(request.socket as TLSSocket);
        void Promise.resolve(this.#answerByHttps({ path: request.url ?? "", text }, known)).then(({ status, body }) =>
          response
            .writeHead(status, { "content-type": "application/json", ...retryAfter(status) })
            .end(JSON.stringify(body)),
        );
      });
    });
    this.#servers = [mqtt, https];
    for (const server of this.#servers) {
      server.on("connection", (socket: Socket) =>
        this.sockets.add(socket.on("close", () => this.sockets.delete(socket))),
      );
      server.on("tlsClientError", () => undefined);
    }
    this.mqttPort = await listen(mqtt);
    this.httpsPort = await listen(https);
    return this;
  }

  /** Resolves when something that fits was received, by now or later. */
  async heard(fits: (received: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(fits);
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    await new Promise<void>((resolve) => (this.#broker ? this.#broker.close(() => resolve()) : resolve()));
  }

  #take(via: Received["via"], bytes: Uint8Array | string): UpEnvelope {
    const envelope = decodeUp(bytes);
    this.received.push({ via, envelope });
    for (const waiter of this.#waiters.splice(0)) waiter();
    return envelope;
  }

  #answerByMqtt(payload: Uint8Array | string): void {
    const envelope = this.#take("mqtt", payload);
    for (const answer of this.reply(envelope)) {
      const topic = downTopic(answer.terminalId, DOWN_STREAM_OF[answer.type]);
      const message = {
        cmd: "publish",
        qos: 1,
        topic,
        payload: encodeEnvelope(answer),
        dup: false,
        retain: false,
      } as const;
      this.#broker?.publish(message, () => undefined);
    }
  }

  #knows(socket: TLSSocket): boolean {
    return socket.authorized && !this.knowsNobody;
  }

  #answerByHttps(post: Post, known: boolean): HttpAnswer | Promise<HttpAnswer> {
    if (post.path !== UPLINK_PATH) return this.other(post);
    if (!known) return { status: 401, body: {} };
    if (this.busy > 0) {
      this.busy -= 1;
      return { status: 429, body: {} };
    }
    if (this.refusing !== undefined) return { status: this.refusing, body: {} };
    return { status: 200, body: { messages: this.reply(this.#take("https", post.text)) } };
  }
}

const retryAfter = (status: number) => (status === 429 ? { "retry-after": "1" } : {});

/** Between agent and hub. */
export class TcpProxy implements AsyncDisposable {
  port = 0;
  #mode: "open" | "frozen" | "blocked" = "open";
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server: Server;

  constructor(target: () => number) {
    this.#server = createServer((near) => {
      const far = connect(target(), "127.0.0.1");
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      near.on("data", (bytes) => this.#mode === "open" && far.write(bytes));
      far.on("data", (bytes) => this.#mode === "open" && near.write(bytes));
      const end = () => {
        this.#pairs.delete(pair);
        near.destroy();
        far.destroy();
      };
      for (const socket of pair) socket.on("close", end).on("error", end);
      if (this.#mode === "blocked") end();
    });
  }

  async start(): Promise<this> {
    this.port = await listen(this.#server);
    return this;
  }
  /** Everything that is connected breaks. */
  cut(): void {
    for (const [near, far] of [...this.#pairs]) {
      near.destroy();
      far.destroy();
    }
  }
  /** Connections stay, and nothing passes: what a lost radio cell looks like. */
  freeze(): void {
    this.#mode = "frozen";
  }
  /** What is connected breaks, and what connects is closed at once. */
  block(): void {
    this.#mode = "blocked";
    this.cut();
  }
  open(): void {
    this.#mode = "open";
    this.cut();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
