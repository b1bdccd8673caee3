import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { ROOT } from "./source-tree.ts";

/** Section -> key -> its values in order, for systemd lets a key come more than once. */
type Unit = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

function parseUnit(text: string): Unit {
  const unit = new Map<string, Map<string, string[]>>();
  let section = new Map<string, string[]>();
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\[(\w+)\]$/.exec(line)?.[1];
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (header !== undefined) {
      section = new Map();
      unit.set(header, section);
    } else if (key !== undefined) section.set(key, [...(section.get(key) ?? []), value ?? ""]);
    else if (line !== "" && !line.startsWith("#")) throw new Error(`line ${index + 1} is no unit syntax: ${line}`);
  }
  return unit;
}

const pathOf = (name: string) => join(ROOT, "config", "systemd", `tillway-${name}.service`);

describe.each(["agent", "hub"])("the unit of the %s", (name) => {
  const unit = parseUnit(readFileSync(pathOf(name), "utf8"));
  const service = (key: string) => unit.get("Service")?.get(key);

  test("starts the program that is there, with its own configuration and data", () => {
    const [program, ...rest] = (service("ExecStart")?.[0] ?? "").split(" ");
    expect(rest).toEqual([name, "--config", `/etc/tillway/${name}.yaml`]);
    const inCheckout = join(ROOT, (program ?? "").replace("/opt/tillway/", ""));
    expect(statSync(inCheckout).mode & 0o111).not.toBe(0);
    expect(service("StateDirectory")).toEqual([`tillway/${name}`]);
    expect(service("StateDirectoryMode")).toEqual(["0700"]);
    expect(service("UMask")).toEqual(["0077"]);
  });

  test("is watched, and comes back unless its configuration is wrong", () => {
    expect(service("Type")).toEqual(["notify"]);
    expect(service("NotifyAccess")).toEqual(["all"]);
    expect(service("WatchdogSec")).toEqual(["30"]);
    expect(service("Restart")).toEqual(["always"]);
    expect(service("RestartPreventExitStatus")).toEqual(["2"]);
    expect(unit.get("Unit")?.get("StartLimitIntervalSec")).toEqual(["0"]);
  });

  test("waits longer for a stop than the program's own limit for draining", () => {
    const daemon = readFileSync(join(ROOT, "base", "daemon.ts"), "utf8");
    const drainMs = Number(/DRAIN_LIMIT_MS = ([\d_]+)/.exec(daemon)?.[1]?.replaceAll("_", ""));
    expect(Number(service("TimeoutStopSec")?.[0]) * 1_000).toBeGreaterThan(drainMs);
  });

  test("runs without rights that it does not use", () => {
    for (const key of [
      "DynamicUser",
      "LockPersonality",
      "NoNewPrivileges",
      "PrivateTmp",
      "ProtectControlGroups",
      "ProtectHome",
      "ProtectKernelModules",
      "ProtectKernelTunables",
      "RestrictNamespaces",
      "RestrictSUIDSGID",
    ]) {
      expect([key, service(key)]).toEqual([key, ["yes"]]);
    }
    expect(service("ProtectSystem")).toEqual(["strict"]);
    expect(service("CapabilityBoundingSet")).toEqual([""]);
    expect(service("SystemCallFilter")).toEqual(["@system-service"]);
    expect(service("RestrictAddressFamilies")?.[0]?.split(" ")).not.toContain("AF_PACKET");
    expect(service("MemoryDenyWriteExecute")).toEqual(["no"]);
  });
});

test("the agent reaches serial ports, the hub no device at all", () => {
  const service = (name: string) => parseUnit(readFileSync(pathOf(name), "utf8")).get("Service");
  expect(service("agent")?.get("SupplementaryGroups")).toEqual(["dialout"]);
  expect(service("agent")?.get("DeviceAllow")).toContain("char-ttyUSB rw");
  expect(service("hub")?.get("PrivateDevices")).toEqual(["yes"]);
});

test("polkit's rule lets the agent's own user, and nobody else, reach the readers", () => {
  const rules: ((action: { id: string }, subject: { user: string }) => unknown)[] = [];
  const polkit = {
    addRule: (rule: (typeof rules)[number]) => rules.push(rule),
    Result: { YES: "yes", NOT_HANDLED: null },
  };
  runInNewContext(readFileSync(join(ROOT, "config", "polkit", "50-tillway.rules"), "utf8"), { polkit });
  const user =
    parseUnit(readFileSync(pathOf("agent"), "utf8"))
      .get("Service")
      ?.get("User")?.[0] ?? "";
  const answer = (id: string, who: string) => rules.map((rule) => rule({ id }, { user: who }));
  for (const id of ["org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card"]) {
    expect(answer(id, user)).toEqual(["yes"]);
    expect(answer(id, "nobody")).toEqual([null]);
  }
  expect(answer("org.freedesktop.systemd1.manage-units", user)).toEqual([null]);
});

/** systemd's own opinion, where the machine has systemd: anything but the program missing from /opt is a fault of ours. */
test("systemd finds nothing to complain of", () => {
  for (const name of ["agent", "hub"]) expect(complaintsOf(pathOf(name))).toEqual([]);
});

function complaintsOf(file: string): readonly string[] {
  const { stderr, error } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
  if (error !== undefined) return (error as NodeJS.ErrnoException).code === "ENOENT" ? [] : [error.message];
  return stderr.split("\n").filter((line) => line.includes("tillway") && !line.includes("is not executable"));
}
