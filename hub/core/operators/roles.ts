/** What operators may do: three roles, each of which may all that the one before it may. */
import { z } from "zod";

/** viewer: looks. operator: runs the fleet from day to day. admin: money out of nothing, keys, and who the operators are. */
export const ROLES = ["viewer", "operator", "admin"] as const;
export const RoleSchema = z.enum(ROLES);
export type Role = z.infer<typeof RoleSchema>;

export const mayAct = (role: Role, needed: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(needed);
export const lowerOf = (a: Role, b: Role): Role => (mayAct(a, b) ? b : a);

/** Who asks, once it is known. */
export interface Operator {
  readonly name: string;
  readonly role: Role;
  /** bootstrap: by the token in the hub's data folder. */
  readonly by: "session" | "token" | "bootstrap";
  /** Which session or token; never its secret. */
  readonly credential?: string;
}

/** The holder of the token in the hub's data folder; no account has this name. */
export const BOOTSTRAP: Operator = { name: "bootstrap", role: "admin", by: "bootstrap" };
