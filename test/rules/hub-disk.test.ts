/** The hub on a disk that is full: what it could not store it never answers, and takes once when it comes again. */
import { expect, test } from "vitest";
import { hubFixture } from "./hub-fixture.ts";

const SALES = 40;

test("RM1 with a disk that fills up in the middle of batches, what is receipted is stored, and the rest is taken once later", async () => {
  const { hub, database, terminal, merchant, clock } = await hubFixture({ balanceMinor: 1_000_000n });
  await terminal.tell(terminal.advice("first"));
  const pages = Number(database.pragma("page_count", { simple: true }));
  const batches = Array.from({ length: 8 }, (_, batch) =>
    terminal.batch(Array.from({ length: SALES / 8 }, (_, n) => terminal.advice(`sale-${batch}-${n}`))),
  );
  let [refused, answered] = [0, 0];
  for (let more = 1; more < 12; more += 1) {
    database.pragma(`max_page_count = ${pages + more}`);
    const results = await Promise.allSettled([
      hub.receive(terminal.request(`online-${more}`)),
      ...batches.map(hub.receive),
    ]);
    refused += results.filter(({ status }) => status === "rejected").length;
    answered += results.filter(({ status }) => status === "fulfilled").length;
    const { sums, listed } = await hub.store.read(async (reading) => ({
      sums: await hub.ledger.account(reading, merchant),
      listed: await hub.authorisation.transactions(reading, { afterNumber: 0, limit: 500 }),
    }));
    const posted = listed.filter(({ postings }) => postings === 1).length;
    expect(sums?.creditsPosted).toBe(BigInt(posted) * 1_000n);
    for (const result of results) if (result.status === "rejected") expect(result.reason.code).toBe("store.failed");
    const receipted = results.flatMap((result) =>
      result.status === "fulfilled" && result.value[0]?.type === "receipt" ? result.value[0].body.results : [],
    );
    expect(receipted.length).toBeLessThanOrEqual(posted);
    for (const { paymentId } of receipted) {
      expect(listed.find(({ payment }) => payment.paymentId === paymentId)?.status).toBe("confirmed");
    }
    expect(database.inTransaction).toBe(false);
    await clock.advance(1_000);
  }
  expect(refused).toBeGreaterThan(0);
  expect(answered).toBeGreaterThan(0);
  database.pragma("max_page_count = 100000");
  for (const batch of batches) await hub.receive(batch);
  const sums = await hub.store.read((reading) => hub.ledger.account(reading, merchant));
  expect(sums?.creditsPosted).toBe(BigInt(SALES + 1) * 1_000n);
  expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
});
