/** `tillway sim card` told something wrong: one line that says what, and the exit code of a mistake in what it was told. */
import { expect, test } from "vitest";
import { runTillway } from "../../scripts/lib/processes.ts";

test.each([
  [["--verification", "/nowhere/card.json"], /^tillway: \/nowhere\/card\.json: .*tillway hub cards add[^\n]*\n$/],
  [["--profile", "unheard-of"], /^tillway: no card profile "unheard-of"; one of standard,[^\n]*\n$/],
] as const)("a simulated card with %j ends at once with one line", async (wrong, line) => {
  const ended = await runTillway(["sim", "card", "--port", "9", "--control", "/nowhere/card.sock", ...wrong]);
  expect(ended.stderr).toMatch(line);
  expect(ended.code).toBe(2);
});
