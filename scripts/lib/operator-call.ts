/** A call of the hub's operator API, over TLS checked against the hub's own authority. */
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { newMessageId, systemRandom } from "../../base/ids.ts";

export interface OperatorDoor {
  /** The hub's data folder: its authority and the operator's token lie there. */
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
}
export interface OperatorCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
}

export function operatorCall<T>(
  { dataDir, host, port }: OperatorDoor,
  { method, path, body }: OperatorCall,
): Promise<T> {
  const ca = readFileSync(join(dataDir, "tls/ca-certificate.pem"));
  const token = readFileSync(join(dataDir, "operator-token"), "utf8").trim();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    ...(text === undefined ? {} : { "content-type": "application/json" }),
    ...(method === "POST" ? { "idempotency-key": newMessageId(systemRandom) } : {}),
  };
  return new Promise((resolve, reject) => {
    const asking = request({ method, host, port, path, ca, headers }, (response) => {
      let answer = "";
      response.on("data", (chunk: Buffer) => {
        answer += chunk.toString("utf8");
      });
      response.on("end", () => resolve(JSON.parse(answer) as T));
    });
    asking.on("error", reject);
    asking.end(text);
  });
}
