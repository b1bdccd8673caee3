import { expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";

test("while the database is away, the counters and the other gauges are told as ever, and what cannot be is counted", async () => {
  const metrics = createMetrics();
  metrics.count("tillway_hub_alarms_total", { reason: "claim" });
  metrics.gauge("tillway_hub_open_findings", () => Promise.reject(new Error("the database is away")));
  metrics.gauge("tillway_hub_quarantined_entries", () => {
    throw new Error("the database is closed");
  });
  metrics.gauge("tillway_hub_waiting_messages", () => 3);
  const lines = (await metrics.text()).split("\n");
  expect(lines).toContain('tillway_hub_alarms_total{reason="claim"} 1');
  expect(lines).toContain("tillway_hub_waiting_messages 3");
  expect(lines.filter((line) => /open_findings|quarantined_entries/.test(line)).sort()).toEqual([
    'tillway_hub_unread_gauges_total{gauge="tillway_hub_open_findings"} 1',
    'tillway_hub_unread_gauges_total{gauge="tillway_hub_quarantined_entries"} 1',
  ]);
});
