/**
 * One open batch at each site (RM17): whatever is confirmed joins the one that is open at that moment, however late it
 * comes; the cutover closes it and opens the next. No terminal is asked, so none can hold it up.
 */
import { present } from "../../../base/assert.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type Batch, type BatchItem, batchStore, type ClosedBy } from "./batch-store.ts";
import { businessDayAt } from "./business-day.ts";
import { type Place, placeStore } from "./place-store.ts";
import type { BatchTotals } from "./totals.ts";

export interface Closed {
  readonly closed: Batch;
  readonly totals: readonly BatchTotals[];
  /** The batch that is open now. */
  readonly opened: number;
}

export interface Batches {
  /** Where a terminal's payments go; due cutovers come first. */
  placeOf(within: Within, terminalId: string, now: number): Promise<Place>;
  /** Whose terminal it is. */
  merchantOf(reading: Reading, terminalId: string): Promise<string>;
  join(within: Within, place: Place, item: BatchItem): Promise<void>;
  /** Closes the site's batch and opens the next, within the same transaction. */
  cutover(within: Within, siteId: string, at: { readonly now: number; readonly by: ClosedBy }): Promise<Closed>;
  /** Closes what is due, at most `limit`; returns what it closed. */
  cutDue(within: Within, now: number, limit: number): Promise<readonly Closed[]>;
  /** The first batch of a new site. */
  open(within: Within, siteId: string, now: number): Promise<number>;
}

/** `defaultSite`: of terminals that stand nowhere in particular. */
export function createBatches(defaultSite: string): Batches {
  const places = createPlaces(defaultSite);

  async function open(within: Within, siteId: string, now: number): Promise<number> {
    const site = present(await placeStore.site(within, siteId), `the site ${siteId}`);
    return await batchStore.insert(within, siteId, { day: businessDayAt(now, site), at: now });
  }

  async function cutover(within: Within, siteId: string, { now, by }: { now: number; by: ClosedBy }): Promise<Closed> {
    places.forget(within);
    const { number } = present(await batchStore.openBatch(within, siteId), `the open batch of ${siteId}`);
    const totals = await batchStore.sums(within, number);
    for (const one of totals) await batchStore.putTotals(within, number, one);
    await batchStore.close(within, number, { at: now, by });
    const opened = await open(within, siteId, now);
    return { closed: present(await batchStore.batch(within, number), "the batch just closed"), totals, opened };
  }

  return {
    async placeOf(within, terminalId, now) {
      const place = await places.of(within, terminalId);
      if (now < place.closesAt) return place;
      await cutover(within, place.siteId, { now, by: "cutover" });
      return await places.of(within, terminalId);
    },
    merchantOf: async (reading, terminalId) => (await places.of(reading, terminalId)).merchantId,
    join: (within, { batch }, item) => batchStore.insertItem(within, batch, item),
    cutover,
    async cutDue(within, now, limit) {
      const closed: Closed[] = [];
      for (const { siteId } of await batchStore.due(within, now, limit))
        closed.push(await cutover(within, siteId, { now, by: "cutover" }));
      return closed;
    },
    open,
  };
}

interface Places {
  of(reading: Reading, terminalId: string): Promise<Place>;
  /** A batch is opened within this transaction, which a savepoint may undo: from now on the tables are asked each time. */
  forget(within: Within): void;
}

/** What one transaction has read of where terminals stand. Nothing outlives it: another replica may change it. */
function createPlaces(defaultSite: string): Places {
  const known = new WeakMap<Reading, Map<string, Place>>();
  const forgetting = new WeakSet<Reading>();
  return {
    async of(reading, terminalId) {
      const kept = known.get(reading)?.get(terminalId);
      if (kept) return kept;
      const found = await placeStore.place(reading, terminalId, defaultSite);
      const place = present(found, `the open batch for the terminal ${terminalId}`);
      if (forgetting.has(reading)) return place;
      const places = known.get(reading) ?? new Map<string, Place>();
      known.set(reading, places.set(terminalId, place));
      return place;
    },
    forget(within) {
      forgetting.add(within);
      known.delete(within);
    },
  };
}
