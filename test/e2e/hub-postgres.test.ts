/** The real hub on PostgreSQL: the same terminal, the same answers, and a database that dies in the middle of the day. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../scripts/lib/postgres.ts";
import { TEST_EXPIRY, TEST_PAN } from "../rules/hub-fixture.ts";
import { type EnrolledTerminal, HubProcess } from "./hub-process.ts";

const folder = mkdtempSync(join(tmpdir(), "tillway-hub-postgres-"));
let server: PostgresServer;
let hub: HubProcess;
let enrolled: EnrolledTerminal;

beforeAll(async () => {
  server = await startPostgres();
  hub = new HubProcess(folder, `store: {kind: postgres, urls: ["${server.newDatabase()}"]}\n`);
  await hub.start();
  const balance = { minor: "1000000", currency: "EUR" };
  const added = await hub.operator("POST", "/v1/accounts", { pan: TEST_PAN, expiry: TEST_EXPIRY, balance });
  expect(added.status).toBe(201);
  enrolled = await hub.enrol("P1");
});
afterAll(async () => {
  await hub.stop("SIGTERM");
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const posted = async (): Promise<readonly string[]> => {
  const { body } = await hub.operator("GET", "/v1/transactions?terminalId=P1&limit=100");
  const { transactions } = body as { transactions: readonly { paymentId: string; postings: number }[] };
  return transactions
    .filter(({ postings }) => postings > 0)
    .map(({ paymentId, postings }) => `${paymentId} ${postings}`);
};

test("a sale online and a queue of sales made offline are posted, each once, also after the hub was killed", async () => {
  const { terminal } = enrolled;
  const answer = await terminal.ask(terminal.request("online-1"));
  expect(answer.outcome).toBe("approved");
  const entries = [
    terminal.advice("online-1", { mode: "online", attempts: [1] }),
    terminal.advice("offline-1"),
    terminal.advice("offline-2"),
  ];
  expect((await terminal.tell(...entries)).map(({ status }) => status)).toEqual([
    "processed",
    "processed",
    "processed",
  ]);
  await hub.stop("SIGKILL");
  await hub.start();
  expect((await terminal.tell(...entries)).map(({ status }) => status)).toEqual([
    "duplicate",
    "duplicate",
    "duplicate",
  ]);
  expect(await posted()).toEqual(["online-1 1", "offline-1 1", "offline-2 1"]);
});

test("a hub that may have other replicas makes no sealing key for itself alone", async () => {
  const { status, text } = await hub.operator("POST", "/v1/keys/sealing/rotate", {});
  expect([status, text]).toEqual([409, expect.stringContaining("docs/operations.md")]);
  const { body } = await hub.operator("GET", "/v1/keys");
  expect(body).toMatchObject({ sealing: [{ generation: 1, present: true }] });
});

test("while the database is away nothing is acknowledged, and when it is back what is sent again is posted once", async () => {
  const { terminal } = enrolled;
  const before = await posted();
  const entry = terminal.advice("while-away");
  await server.kill();
  await expect(terminal.tell(entry)).rejects.toThrow("E_UNAVAILABLE");
  expect((await hub.operator("GET", "/v1/transactions")).status).toBe(503);
  expect((await hub.call("GET", "/v1/health")).status).toBe(200);
  await server.restart();
  expect((await terminal.tell(entry)).map(({ status }) => status)).toEqual(["processed"]);
  expect(await posted()).toEqual([...before, "while-away 1"]);
});
