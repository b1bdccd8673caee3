/** What the doctor found in one place. */
export interface Finding {
  /** FAIL: nothing is sold, or not all of it, until it is mended. warn: it still sells. */
  readonly level: "ok" | "warn" | "FAIL";
  /** The place: "config", "hub", a device's id. */
  readonly name: string;
  /** What is so, and the mend where one is needed. */
  readonly what: string;
}
