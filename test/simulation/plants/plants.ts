/** Every planted bug; each is planted alone. */
import { HUB_PLANTS } from "./hub-plants.ts";
import { PAYMENT_PLANTS } from "./payment-plants.ts";
import type { Plant } from "./plant.ts";
import { QUEUE_PLANTS } from "./queue-plants.ts";
import { STORE_PLANTS } from "./store-plants.ts";

export const PLANTS: readonly Plant[] = [...PAYMENT_PLANTS, ...QUEUE_PLANTS, ...STORE_PLANTS, ...HUB_PLANTS];
