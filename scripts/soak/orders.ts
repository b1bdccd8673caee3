/** What a soak's parent and its workers say to each other. */
import { z } from "zod";
import { FAULT_CLASSES } from "../../test/simulation/fault-classes.ts";
import type { SeedReport } from "../../test/simulation/run-seed.ts";

export const OrderSchema = z.strictObject({
  seed: z.string(),
  sales: z.int().min(1),
  without: z.array(z.enum(FAULT_CLASSES)),
  /** Run it again and compare the traces. */
  twice: z.boolean(),
});
export type Order = z.infer<typeof OrderSchema>;

export type WorkerReport = SeedReport & { readonly wallMs: number };
