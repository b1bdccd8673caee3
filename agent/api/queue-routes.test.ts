/** The queue as a person sees it and acts on it: the routes over a real journal and a real drain, and the words for people. */
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";
import { cardPaymentsWithoutHub } from "../../test/rules/card-payments-without-hub.ts";
import { ApiClient } from "../client.ts";
import type { Journal } from "../journal/journal.ts";
import { id, intent, JournalFolder } from "../journal/journal-fixture.ts";
import { registerQueue } from "../operator/queue/cli.ts";
import { accepted } from "../operator/sale.ts";
import { startForwarder } from "../saf/forwarder.ts";
import { type Answer, advice, processed, SmallHub, takesAll } from "../saf/saf-fixture.ts";
import { type RunningApi, startApi } from "./api.ts";
import { FakePayments, STATUS } from "./api-fixture.ts";
import { readApiToken } from "./api-token.ts";

let here: JournalFolder;
let journal: Journal;
let hub: SmallHub;
let stop: AbortController;
let api: RunningApi;
let client: ApiClient;

const silent: Answer = () => [];
const quarantines: Answer = (batch) =>
  batch.entries.map((entry) => ({
    ...processed(entry),
    status: "quarantined",
    reason: "E_FORMAT",
    detail: "unknown tag",
  }));

beforeEach(async () => {
  here = new JournalFolder();
  journal = here.open();
  hub = new SmallHub();
  stop = new AbortController();
  const common = { journal, clock: here.clock, log: silentLog };
  const forwarder = startForwarder({ ...common, hub, random: () => Uint8Array.of(0, 0), signal: stop.signal });
  api = await startApi({
    config: { dataDir: here.folder, api: { host: "127.0.0.1", port: 0 }, site: { currency: currencyOf("EUR") } },
    payments: new FakePayments(),
    cardPayments: cardPaymentsWithoutHub(),
    dialogues: { dialogueOf: () => undefined },
    devices: { lend: () => undefined, list: () => STATUS.devices, onChange: () => () => undefined },
    health: { status: () => STATUS },
    journal,
    forwarder,
    clock: systemClock,
    now: () => here.clock.now(),
    log: silentLog,
  });
  const token = readApiToken(join(here.folder, "api-token"));
  client = new ApiClient({ address: `http://127.0.0.1:${api.port}`, token }, systemClock);
});
afterEach(async () => {
  stop.abort();
  await api[Symbol.asyncDispose]();
  await journal[Symbol.asyncDispose]();
  here[Symbol.dispose]();
});

const turn = () => here.clock.advance(0);
const sell = (payment: string) => journal.append([{ body: intent(payment, "100") }, advice(payment)]);
const ANN = { by: "ann", why: "the hub was mended" };
const get = (path: string) => client.call({ method: "GET", path });
const post = (path: string, body: unknown = ANN) => client.call({ method: "POST", path, body });

/** What `tillway queue …` prints. */
async function tillway(...words: readonly string[]): Promise<string> {
  const printed: string[] = [];
  const program = new Command("tillway").exitOverride().configureOutput({ writeErr: () => undefined });
  registerQueue(program, {
    connect: () => ({ client }),
    show: async (_options, { path, read }) => void printed.push(read(accepted(await get(path)))),
    print: (line) => void printed.push(line),
  });
  await program.parseAsync(["node", "tillway", "queue", ...words]);
  return printed.join("\n");
}
const refusal = (status: number, code: string, message: string) => ({
  ok: false,
  error: { status, code, message },
});

test("a quarantined entry is retried by its payment's id: the hub is asked again, and who did it is kept", async () => {
  hub.answer = quarantines;
  await sell("p-1");
  await turn();
  expect(await tillway("list")).toMatch(
    /^queue: 1 waiting.*\nentry .*\n2 .*quarantined .*sent 1x .*E_FORMAT unknown tag$/,
  );
  hub.answer = takesAll;
  expect(await tillway("retry", "p-1", "--by", "ann", "--why", "mended")).toContain("eligible");
  await turn();
  expect(await tillway("show", "2")).toMatch(/state {4}processed[\s\S]*retry by ann at .*: mended/);
  expect(journal.entriesOf(id("p-1")).at(-1)).toMatchObject({
    body: { kind: "queue-action", action: "retry", targetSequence: 2, by: "ann", why: "mended" },
  });
  expect(journal.entriesOf(id("p-1")).at(-1)?.forward).toBeUndefined();
});

test("an entry that rests is forced; with the link down it is refused and nothing is stored", async () => {
  hub.answer = silent;
  await sell("p-1");
  await turn();
  await here.clock.advance(10_000);
  expect(await get("/v1/queue")).toMatchObject({
    value: {
      entries: [{ sequence: 2, state: "forwarding", nextTryInSec: 1, lastError: "no receipt within 10000 ms" }],
    },
  });
  expect(await post("/v1/queue/2/force")).toMatchObject({
    ok: true,
    value: { actions: [{ action: "force", ...ANN }] },
  });
  await turn();
  expect(hub.sequences).toEqual([[2], [2]]);
  hub.link("down");
  expect(await post("/v1/queue/2/force")).toEqual(
    refusal(409, "E_UNAVAILABLE", "the hub is out of reach; it goes by itself when the link is back"),
  );
  expect(journal.head.sequence).toBe(3);
});

test("RM12 an entry that was never sent is cancelled by a void with the reason; one on its way waits for its receipt", async () => {
  hub.link("down");
  await sell("p-1");
  expect(await post("/v1/queue/p-1/cancel", { by: "ann", why: "wrong amount" })).toMatchObject({
    value: {
      state: "voided",
      whatToDo: expect.stringMatching(/^It was cancelled here, and the hub has yet to confirm/),
    },
  });
  expect(journal.entriesOf(id("p-1")).at(-1)?.body).toMatchObject({ kind: "void", reason: "wrong amount" });
  hub.answer = silent;
  hub.link("up");
  await sell("p-2");
  await turn();
  expect(await post("/v1/queue/p-2/cancel")).toEqual(
    refusal(409, "E_STATE", "cannot cancel entry 6: it may be at the hub; wait for its receipt"),
  );
});

test("a quarantined entry is cancelled, and the hub is told by a void", async () => {
  hub.answer = quarantines;
  await sell("p-1");
  await turn();
  hub.answer = takesAll;
  expect(await post("/v1/queue/2/cancel")).toMatchObject({ value: { state: "voided" } });
  await turn();
  expect(hub.batches.at(-1)?.entries.map((entry) => JSON.parse(entry.text).kind)).toEqual(["void"]);
});

test("in the wrong state, and for what is not there, every act answers in one sentence and stores nothing", async () => {
  await sell("p-1");
  await turn();
  const { sequence } = journal.head;
  const cannot = (act: string) =>
    `cannot ${act} entry 2: it was taken by the hub; refund the payment instead, or void it if it is a pre-authorisation`;
  for (const act of ["force", "retry", "cancel"])
    expect(await post(`/v1/queue/p-1/${act}`)).toEqual(refusal(409, "E_STATE", cannot(act)));
  expect(await post("/v1/queue/p-9/retry")).toEqual(
    refusal(404, "E_UNKNOWN", "no entry p-9 is in the queue; see tillway queue list"),
  );
  expect(await post("/v1/queue/p-1/retry", { by: "ann" })).toMatchObject({ error: { status: 400, path: "why" } });
  expect(await post("/v1/queue/p-1/retry", { by: "a\nb", why: "x" })).toMatchObject({ error: { path: "by" } });
  expect(journal.head.sequence).toBe(sequence);
});

test("a number that is both an entry and a payment is asked about; #2 is always the entry", async () => {
  hub.answer = silent;
  await sell("p-1");
  await sell("2");
  expect(await get("/v1/queue/2")).toEqual(
    refusal(409, "E_CONFLICT", "2 is both the number of an entry and the id of a payment; say #2 for the entry"),
  );
  expect(await get("/v1/queue/%232")).toMatchObject({ value: { entries: [{ sequence: 2, paymentId: "p-1" }] } });
});

test("without an id, retry tries now with all that rests", async () => {
  hub.answer = silent;
  await sell("p-1");
  await turn();
  await here.clock.advance(10_000);
  expect(await tillway("retry")).toBe("trying now, 1 waiting");
  await turn();
  expect(hub.batches).toHaveLength(2);
  await expect(tillway("force", "2", "--by", "ann")).rejects.toThrow("--why");
});
