/** One port in front of several: each connection goes to the next one that takes it, as bytes. */
import { connect, createServer, type Socket } from "node:net";

export interface Balancer extends AsyncDisposable {
  readonly port: number;
}

const CONNECT_WITHIN_MS = 1_000;

/** `ports`: on loopback. A connection that none of them takes is closed. */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.setNoDelay(true);
    return socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
  };
  async function join(client: Socket): Promise<void> {
    turn += 1;
    for (let tries = 0; tries < ports.length; tries += 1) {
      const port = ports[(turn + tries) % ports.length] ?? 0;
      const server = await opened(keep(connect(port, "127.0.0.1")));
      if (!server) continue;
      client.pipe(server).pipe(client);
      client.once("close", () => server.destroy());
      server.once("close", () => client.destroy());
      return;
    }
    client.destroy();
  }
  const listener = createServer((client) => void join(keep(client)));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function opened(socket: Socket): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => socket.destroy(), CONNECT_WITHIN_MS);
    socket.once("connect", () => {
      clearTimeout(limit);
      resolve(socket);
    });
    socket.once("close", () => {
      clearTimeout(limit);
      resolve(undefined);
    });
  });
}
