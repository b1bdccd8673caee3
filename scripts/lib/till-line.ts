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
      return new Promise((resolve, reject) => {
        let answer = "";
        socket.on("data", (chunk) => {
          answer += chunk.toString("utf8");
          const end = answer.indexOf("\r\n\r\n");
          const length = /content-length: (\d+)/i.exec(answer)?.[1];
          const content = Buffer.from(answer.slice(end + 4), "utf8");
          if (end >= 0 && length !== undefined && content.length >= Number(length)) resolve(content.toString("utf8"));
        });
        socket.once("close", () => reject(new Error("the agent closed the line")));
        socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      });
    },
    close: () => void socket.destroy(),
  };
}
