/** `tillway verify-sale` against an agent of a few lines. */
import { createServer, type Server, type ServerResponse } from "node:http";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { registerVerifySale } from "./cli.ts";

let server: Server;
let address: string;
/** What the agent has not answered yet. */
let payment: ServerResponse | undefined;
let onCancel: (response: ServerResponse) => void;
let said: string[];

beforeEach(async () => {
  said = [];
  server = createServer((request, response) => {
    request.resume();
    if (request.url?.endsWith("/cancel")) onCancel(response);
    else payment = response;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  address = `http://127.0.0.1:${bound.port}`;
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  vi.spyOn(console, "log").mockImplementation((line: string) => void said.push(line));
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = 0;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const verifySale = (...more: readonly string[]) => {
  const program = new Command();
  registerVerifySale(program);
  const target = ["--api", address, "--token", "t", "--currency", "EUR"];
  return program.parseAsync(["node", "tillway", "verify-sale", ...more, "--payee", "merchant:shop:EUR", ...target]);
};

test("an interruption that the agent does not hear leaves the outcome to be waited for", async () => {
  const rejections: unknown[] = [];
  const onRejection = (error: unknown) => void rejections.push(error);
  process.on("unhandledRejection", onRejection);
  const cancelled = new Promise<void>((resolve) => {
    onCancel = (response) => {
      response.destroy();
      resolve();
    };
  });
  const sale = verifySale("1.00", "--id", "V-1");
  await vi.waitFor(() => expect(payment).toBeDefined());
  process.emit("SIGINT");
  await cancelled;
  payment?.end(JSON.stringify({ id: "V-1", status: "declined", detail: "the card's answer is wrong" }));
  await sale;
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onRejection);
  expect(rejections).toEqual([]);
  expect(said).toEqual(["declined, the card's answer is wrong"]);
  expect(process.exitCode).toBe(3);
});
