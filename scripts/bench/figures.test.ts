/** Figures are compared over years: their form and their arithmetic stand. */
import { expect, test } from "vitest";
import { compared, measured, median, percentile, printFigures } from "./figures.ts";

test("the median of an even count lies between the middle two", () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5]);
});

test("a percentile is the nearest rank", () => {
  const values = Array.from({ length: 200 }, (_, at) => at + 1);
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)]).toEqual([100, 198, 7]);
});

test("the ratio is the median of the pairwise ratios, not the ratio of the medians", () => {
  const pairs = [
    { ours: 10, reference: 20 },
    { ours: 30, reference: 30 },
    { ours: 20, reference: 10 },
  ];
  const name = { figure: "journal.single", unit: "entries/s", reference: "bare-sqlite-full" };
  expect(compared(name, pairs)).toEqual({
    figure: "journal.single",
    value: 20,
    unit: "entries/s",
    reference: { name: "bare-sqlite-full", value: 20 },
    ratio: 1,
    runs: 3,
  });
});

test("JSON is one object per line, in the order of the published example", () => {
  const written: string[] = [];
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  try {
    const pairs = [{ ours: 2310.4, reference: 3004.6 }];
    const name = { figure: "journal.single", unit: "entries/s", reference: "bare-sqlite-full" };
    printFigures([compared(name, pairs), measured({ figure: "journal.seal", unit: "seals/s" }, [5000])], {
      json: true,
    });
  } finally {
    process.stdout.write = write;
  }
  expect(written.join("")).toBe(
    '{"figure":"journal.single","value":2310,"unit":"entries/s","reference":{"name":"bare-sqlite-full","value":3005},"ratio":0.769,"runs":1}\n' +
      '{"figure":"journal.seal","value":5000,"unit":"seals/s","runs":1}\n',
  );
});
