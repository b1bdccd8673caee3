/** A till's open line to the local API, in bare HTTP/1.1: what it measures is the agent, not a client library. */
import { connect } from "node:net";

export interface TillLine {
  /** Sends one request on the open connection and gives the body of its answer. */
  post(path: string, body: string): Promise<string>;
  close(): void;
}

export async function openTill(port: number, token: string): Promise<TillLine> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return {
    post(path, body) {
      const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
      const answer = new Promise<string>((resolve, reject) => {
        let received = "";
        const onData = (chunk: Buffer) => {
          received += chunk.toString("utf8");
          const content = contentOf(received);
          if (content === undefined) return;
          socket.off("data", onData);
          socket.off("close", onClose);
          resolve(content);
        };
        const onClose = () => reject(new Error("the agent closed the line"));
        socket.on("data", onData);
        socket.once("close", onClose);
      });
      socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      return answer;
    },
    close: () => void socket.destroy(),
  };
}

/** The body, once all of it is there. */
function contentOf(received: string): string | undefined {
  const end = received.indexOf("\r\n\r\n");
  const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? Number.NaN);
  if (end < 0) return undefined;
  const content = received.slice(end + 4);
  return Buffer.byteLength(content) >= length ? content : undefined;
}
