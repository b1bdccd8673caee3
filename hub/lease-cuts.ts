/** Raises an alarm where leases are too long for an institution's stand-in parameters: its cards are refused offline until somebody acts. */
import type { Log } from "../base/log.ts";
import type { Metrics } from "./metrics.ts";

/** Every lease counts; the log hears of each institution once, as each terminal gets a lease a minute. */
export function noteCutLeases(metrics: Pick<Metrics, "count">, log: Log): (institutionId: string) => void {
  const told = new Set<string>();
  return (institutionId) => {
    metrics.count("tillway_hub_leases_cut_total", { issuer: institutionId });
    if (told.has(institutionId)) return;
    told.add(institutionId);
    log.error("leases are too long for stand-in parameters; shorten them or the deny list", {
      institution: institutionId,
    });
  };
}
