/** How a device host proves that it lives, and when its parent stops believing it. */
export const ALIVE_EVERY_MS = 500;
export const SILENCE_MAX_MS = 3_000;
