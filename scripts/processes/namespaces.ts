/** Namespaces of the kernel for lanes that mount or cut: what this machine allows, and a way to begin again inside one. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

/** `unshare` with these, and without root with a user namespace, in which one is root. */
export const namespaceOf = (...kinds: readonly ("--mount" | "--net")[]): readonly string[] =>
  process.getuid?.() === 0 ? ["unshare", ...kinds] : ["unshare", "--map-root-user", ...kinds];

/** Why a command fails, if it does. */
export function whyNot(command: readonly string[]): string | undefined {
  const [program = "", ...rest] = command;
  const { error, status, stderr } = spawnSync(program, rest, { encoding: "utf8" });
  if (error) return `${program}: ${error.message}`;
  return status === 0 ? undefined : `${command.join(" ")}: ${stderr.trim() || `ended with ${status}`}`;
}

/** Runs a command to its end, and throws with its words when it fails. */
export function must(...command: readonly string[]): void {
  const why = whyNot(command);
  if (why !== undefined) throw new Error(why);
}

/** Runs this program again through another, with everything it says; its exit code. */
export async function again(through: readonly string[], args: readonly string[]): Promise<number> {
  const [program = "", ...rest] = [...through, process.execPath, ...args];
  const child = spawn(program, rest, { stdio: "inherit" });
  process.once("exit", () => void child.kill("SIGTERM"));
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
