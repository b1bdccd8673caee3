import { defineConfig } from "vitest/config";

/** Rules of money that must hold whatever the hub keeps its books in. */
const POSTGRES_TOO = [
  "hub-rules",
  "hub-terminals",
  "terminal-door",
  "hub-issuing",
  "hub-deferred",
  "hub-pre-authorisation",
  "hub-cashback",
  "hub-tip",
  "switch",
  "switch-institutions",
  "issuer-reconciliation",
  "switch-pre-authorisation",
  "hub-journals",
  "hub-import",
  "reconciliation",
  "card-verification",
  "pre-authorised-code",
  "offline-notes",
  "settlement",
  "settlement-batches",
  "settlement-histories",
  "settlement-routes",
  "payment-list",
  "operators",
  "operator-requests",
  "operator-audit",
];

/** Lanes: `unit` runs anywhere; `stack` needs pcscd, ptys and child processes, and runs one file at a time; `simulation` needs the build. */
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
          name: "postgres",
          include: POSTGRES_TOO.map((name) => `test/rules/${name}.test.ts`),
          globalSetup: ["test/rules/postgres-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "stack",
          include: ["test/{contract,e2e}/**/*.test.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "simulation",
          include: ["test/simulation/*.test.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
