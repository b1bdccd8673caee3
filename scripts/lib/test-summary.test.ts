import { expect, test } from "vitest";
import { countReport } from "./test-summary.ts";

const file = (status: string, ...tests: readonly string[]) => ({
  name: "a.test.ts",
  status,
  assertionResults: tests.map((result, index) => ({ status: result, fullName: `test ${index}` })),
});

test("counts passed, failed and every other state as skipped", () => {
  const report = { testResults: [file("failed", "passed", "failed", "skipped", "pending", "todo")] };
  expect(countReport("unit", report, 1)).toEqual({ passed: 1, failed: ["a.test.ts: test 1"], skipped: 3 });
});

test("counts a file that does not load as one failure", () => {
  expect(countReport("unit", { testResults: [file("failed")] }, 1).failed).toHaveLength(1);
});

test("counts a bad exit that no test explains as one failure", () => {
  expect(countReport("unit", { testResults: [file("passed", "passed")] }, 1)).toMatchObject({
    passed: 1,
    failed: [expect.any(String)],
  });
  expect(countReport("unit", undefined, 137).failed).toEqual(["unit: vitest ended with exit code 137"]);
});

test("finds nothing wrong in a green run", () => {
  expect(countReport("unit", { testResults: [file("passed", "passed", "passed")] }, 0)).toEqual({
    passed: 2,
    failed: [],
    skipped: 0,
  });
});
