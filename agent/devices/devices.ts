/** What the agent's parts ask of the device manager. */
import type { CapabilityMap, CapabilityName } from "../../drivers/capability.ts";

/** absent: not there; opening; ready; lost: was there, being re-opened. */
export type DeviceState = "absent" | "opening" | "ready" | "lost";

export interface DeviceView {
  readonly id: string;
  readonly uri: string;
  readonly state: DeviceState;
  /** In words what is wrong and what to do, or what the device is. */
  readonly detail: string;
  readonly since: string;
}

export interface Devices {
  /** The first ready device that has the capability. Lent, not owned: it may be lost at any time. */
  lend<N extends CapabilityName>(name: N): CapabilityMap[N] | undefined;
  list(): readonly DeviceView[];
  onChange(listener: (device: DeviceView) => void): () => void;
}
