import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { sweepForCardNumbers } from "../../test/tidy/pan-sweep.ts";
import { BookFile } from "./book-file.ts";
import { Books } from "./books.ts";
import type { Payment } from "./records.ts";
import { booksView } from "./views.ts";

const PAN = "4761739001010119";
const where = { acquirerId: "12345678", day: "0105" };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tw-books-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const path = () => join(folder, "books.jsonl");

function open() {
  const file = new BookFile(path());
  const books = new Books((record) => file.add(record));
  for (const record of file.read()) books.load(record);
  file.begin(books.records());
  return { file, books };
}

const payment = (books: Books, paymentId: string): Payment => ({
  terminalId: "counter-7",
  paymentId,
  operation: "purchase",
  card: books.account(PAN)?.card,
  currency: "978",
  counter: "01/7",
  attempts: { 1: { state: "approved", of: "financial", minor: 250n, responseCode: "00", approvalCode: "000001" } },
});

function withOnePayment() {
  const { file, books } = open();
  books.setAccount(PAN, { expiry: "3012", currency: "978", balanceMinor: 1_000n });
  books.put(payment(books, "p-1"), where);
  file.save();
  return { file, books };
}

describe("an issuer's books on disk", () => {
  test("come back as they were saved, without being closed, and once more after that", () => {
    const { books } = withOnePayment();
    const view = booksView(books);
    expect(view).toMatchObject({ accounts: [{ balanceMinor: "750" }], payments: [{ postedMinor: "250" }] });
    expect(booksView(open().books)).toEqual(view);
    const again = open().books;
    expect(booksView(again)).toEqual(view);
    const card = again.account(PAN)?.card ?? "";
    expect(again.isReplay({ card, counter: "01/7" }, { terminalId: "counter-7", paymentId: "p-2" })).toBe(true);
    expect(again.isReplay({ card, counter: "01/7" }, { terminalId: "counter-7", paymentId: "p-1" })).toBe(false);
  });

  test("what was not saved is not there", () => {
    const { books } = withOnePayment();
    books.put(payment(books, "p-2"), where);
    expect(booksView(open().books).payments).toHaveLength(1);
  });

  test("a last line that a power cut left half is none", () => {
    withOnePayment();
    const whole = booksView(open().books);
    appendFileSync(path(), '{"payment":{"terminalId":"coun');
    expect(booksView(open().books)).toEqual(whole);
    truncateSync(path(), statSync(path()).size - 3);
    expect(() => open()).not.toThrow();
  });

  test("a line that is none is named", () => {
    withOnePayment();
    appendFileSync(path(), '{"payment":{}}\n');
    const lines = readFileSync(path(), "utf8").split("\n").length - 1;
    try {
      open();
      expect.unreachable();
    } catch (error) {
      expect(isFault(error, "store.failed") && error.message).toContain(`books.jsonl:${lines}: no line`);
    }
  });

  test("are their owner's alone and hold no card number", () => {
    const { file } = withOnePayment();
    file[Symbol.dispose]();
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(sweepForCardNumbers(readFileSync(path()), [PAN])).toEqual([]);
    expect(readFileSync(path(), "utf8")).toContain("476173******0119");
  });
});
