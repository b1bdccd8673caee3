import { expect, test } from "vitest";
import { committedFiles, inLayers, scan } from "./source-tree.ts";

test("there are sources to check", () => {
  expect(committedFiles().filter(({ path }) => inLayers(path)).length).toBeGreaterThan(40);
});

test("tells code, strings and comments apart", () => {
  const { code, bare, comments } = scan('const a = "x // y"; // why\n/* more */ b("q");');
  expect(code).toContain('"x // y"');
  expect(code).not.toContain("why");
  expect(bare).not.toContain("x");
  expect(bare).toContain("const a =");
  expect(comments.trim().split(/\s+/)).toEqual(["//", "why", "/*", "more", "*/"]);
});

test("sees the code inside a template literal, not its text", () => {
  const { bare } = scan(`f(\`text \${now({ at: \`deep \${inner()} text\` })} text\`); after();`);
  expect(bare).not.toContain("text");
  expect(bare).toMatch(/now\(.*inner\(\).*after\(\)/);
});

test("is not misled by quotes and slashes in a regular expression", () => {
  const { bare, comments } = scan("const a = /[\"'/]/g; // real\nconst b = 4 / 2; c();");
  expect(comments.trim()).toBe("// real");
  expect(bare).toContain("const b = 4 / 2; c();");
});

test("keeps every line where it was", () => {
  const text = "a;\n/* b\n c */\nd;\n`e\nf`;";
  const scanned = scan(text);
  for (const part of [scanned.code, scanned.bare, scanned.comments]) expect(part).toHaveLength(text.length);
  expect(scanned.bare.split("\n")[3]).toBe("d;");
});
