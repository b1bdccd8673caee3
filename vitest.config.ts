import { defineConfig } from "vitest/config";

/** Lanes: `unit` runs anywhere; `stack` needs pcscd, ptys and child processes, and runs one file at a time. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "{base,protocols,wire,drivers,agent,hub,sim,scripts}/**/*.test.ts",
            "test/tidy/**/*.test.ts",
            "test/rules/**/*.test.ts",
            "test/simulation/plants/*.test.ts",
          ],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "stack",
          include: ["test/{contract,e2e}/**/*.test.ts", "test/simulation/*.test.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
