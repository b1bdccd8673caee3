/** One device's life as decisions: when to open, when to wait, what to show. The device manager does what it says. */
import { unreachable } from "../../base/assert.ts";
import type { Machine } from "../../base/machine.ts";
import type { DeviceState } from "./devices.ts";

/** A device counts as steady, and its backoff starts afresh, when it was ready for this long. */
export const STEADY_MS = 5_000;

export type DeviceLife =
  | { readonly at: "opening"; readonly shown: Exclude<DeviceState, "ready">; readonly detail: string }
  | { readonly at: "waiting"; readonly shown: "absent" | "lost"; readonly detail: string }
  | { readonly at: "ready"; readonly detail: string; readonly since: number }
  | { readonly at: "closed" };

/** `monotonic` in milliseconds. */
export type DeviceEvent =
  | { readonly on: "opened"; readonly description: string; readonly monotonic: number }
  | { readonly on: "failed"; readonly reason: string }
  | { readonly on: "lost"; readonly reason: string; readonly monotonic: number }
  | { readonly on: "retry" }
  | { readonly on: "stop" };

export type DeviceEffect =
  | { readonly do: "open" }
  | { readonly do: "close" }
  | { readonly do: "retry-later"; readonly backoff: "first" | "next" };

export const FIRST_LIFE: DeviceLife = { at: "opening", shown: "opening", detail: "being opened" };

export const deviceMachine: Machine<DeviceLife, DeviceEvent, DeviceEffect> = (life, event) => {
  if (life.at === "closed") return { state: life, effects: event.on === "opened" ? [{ do: "close" }] : [] };
  switch (event.on) {
    case "stop":
      return { state: { at: "closed" }, effects: [{ do: "close" }] };
    case "opened":
      if (life.at !== "opening") return { state: life, effects: [] };
      return { state: { at: "ready", detail: event.description, since: event.monotonic }, effects: [] };
    case "failed":
      if (life.at !== "opening") return { state: life, effects: [] };
      return {
        state: { at: "waiting", shown: life.shown === "lost" ? "lost" : "absent", detail: event.reason },
        effects: [{ do: "retry-later", backoff: "next" }],
      };
    case "lost": {
      if (life.at !== "ready") return { state: life, effects: [] };
      const backoff = event.monotonic - life.since >= STEADY_MS ? "first" : "next";
      return {
        state: { at: "waiting", shown: "lost", detail: event.reason },
        effects: [{ do: "close" }, { do: "retry-later", backoff }],
      };
    }
    case "retry":
      if (life.at !== "waiting") return { state: life, effects: [] };
      return { state: { at: "opening", shown: life.shown, detail: life.detail }, effects: [{ do: "open" }] };
    default:
      return unreachable(event);
  }
};

export const shownState = (life: DeviceLife): DeviceState =>
  life.at === "closed" ? "absent" : life.at === "ready" ? "ready" : life.shown;
export const shownDetail = (life: DeviceLife): string => (life.at === "closed" ? "closed" : life.detail);
