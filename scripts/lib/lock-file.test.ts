import { expect, test } from "vitest";
import { missingFromLock, platformEntry } from "./lock-file.ts";

const tool = {
  version: "2.0.0",
  dev: true,
  license: "MIT",
  optionalDependencies: { "@tool/cli-linux-x64-musl": "2.0.0" },
};

test("names an optional dependency that has no entry", () => {
  const missing = missingFromLock({ packages: { "": {}, "node_modules/tool": tool } });
  expect(missing).toEqual([
    {
      name: "@tool/cli-linux-x64-musl",
      version: "2.0.0",
      path: "node_modules/@tool/cli-linux-x64-musl",
      wantedBy: "node_modules/tool",
    },
  ]);
});

test("finds an entry at the top or nested beside its asker", () => {
  const nested = "node_modules/outer/node_modules/tool";
  for (const path of ["node_modules/", "node_modules/outer/node_modules/", `${nested}/node_modules/`]) {
    expect(missingFromLock({ packages: { [nested]: tool, [`${path}@tool/cli-linux-x64-musl`]: {} } })).toEqual([]);
  }
});

test("reads os, cpu and libc from the name", () => {
  const entry = (name: string) => platformEntry({ name, version: "1.2.3", path: "", wantedBy: "" }, tool);
  expect(entry("@tool/cli-linux-x64-musl")).toEqual({
    version: "1.2.3",
    cpu: ["x64"],
    dev: true,
    libc: ["musl"],
    license: "MIT",
    optional: true,
    os: ["linux"],
  });
  expect(entry("@oxlint/binding-linux-arm-gnueabihf")).toMatchObject({ os: ["linux"], cpu: ["arm"], libc: ["glibc"] });
  expect(entry("@oxlint/binding-win32-ia32-msvc")).not.toHaveProperty("libc");
  expect(entry("@oxc-parser/binding-android-arm-eabi")).toMatchObject({ os: ["android"], cpu: ["arm"] });
});

test("refuses to guess a version range or a platform", () => {
  const wanted = { name: "fsevents", version: "~2.3.3", path: "", wantedBy: "" };
  expect(() => platformEntry(wanted, undefined)).toThrow(/no exact version/);
  expect(() => platformEntry({ ...wanted, version: "2.3.3" }, undefined)).toThrow(/does not tell its platform/);
});
