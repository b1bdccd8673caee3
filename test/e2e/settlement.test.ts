/** The end of the day by command line, against a real hub: settled, paid out, and the file for the bank written. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DE_ACCOUNT, PAYER } from "../rules/settlement-fixture.ts";
import { HubProcess } from "./hub-process.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");
/** More than one request settles. */
const EMPTY_BATCHES = 150;

const folder = mkdtempSync(join(tmpdir(), "tillway-settlement-"));
const hub = new HubProcess(folder, `merchant: {id: bakery}\npayer: ${JSON.stringify(PAYER)}\n`);

beforeAll(async () => {
  await hub.start();
});
afterAll(async () => {
  await hub.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

const tool = (...args: readonly string[]) => hub.command(...args, "--config", hub.configPath);

test("a sale ends in a file for the bank, which is whole or not there", async () => {
  const account = ["--iban", DE_ACCOUNT.iban, "--bic", DE_ACCOUNT.bic];
  expect(await tool("merchants", "set", "bakery", "--name", "The bakery", ...account)).toMatchObject({ code: 0 });
  const { terminal } = await hub.enrol("S1");
  expect(await terminal.tell(terminal.advice("sale-1"))).toMatchObject([{ status: "processed" }]);
  expect(await tool("cutover", "bakery")).toMatchObject({ code: 0 });
  for (let one = 0; one < EMPTY_BATCHES; one += 1)
    expect(await hub.operator("POST", "/v1/sites/bakery/cutover")).toMatchObject({ status: 200 });

  expect(await tool("settle")).toEqual({
    ...{ code: 0, err: "" },
    out: "batch 1 settled for bakery: payable 10.00 EUR, fees 0.00 EUR\n",
  });
  expect(await hub.operator("GET", "/v1/batches?state=closed")).toMatchObject({ body: { batches: [] } });

  const made = await tool("payouts", "make", "--date", "2099-01-01");
  expect(made).toMatchObject({ code: 0, err: "1 payments, 10.00 EUR; now send its file to the bank\n" });
  const bank = mkdtempSync(join(folder, "bank-"));
  const file = ["payouts", "file", made.out.trim(), "--out", join(bank, "payout.xml")];
  // In a process that may write files of 1,024 bytes at most.
  const limited = [`ulimit -f 1; exec "$0" "$@"`, process.execPath, PROGRAM, "hub", ...file];
  const short = spawnSync("bash", ["-c", ...limited, "--config", hub.configPath], { encoding: "utf8" });
  expect(short).toMatchObject({ status: 2, stderr: expect.stringContaining("EFBIG") });
  expect(readdirSync(bank)).toEqual([]);
  expect(await tool(...file)).toMatchObject({ code: 0 });
  expect(readFileSync(join(bank, "payout.xml"), "utf8")).toMatch(/<\/Document>\s*$/);
  expect(await tool(...file)).toMatchObject({ code: 2, err: expect.stringContaining("EEXIST") });
});
