import { join } from "node:path";
import { setImmediate as realTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { sleep } from "../../base/clock.ts";
import { openSqlite } from "../../base/sqlite.ts";
import { simulatedDisk } from "../../test/simulation/simulated-disk.ts";
import type { NodeContext, NodeFactory, RunningNode } from "./node.ts";
import { createWorld, WORLD_FAULT_NAMES, type World } from "./world.ts";

const disk = simulatedDisk();
const newWorld = (seed = "seed") => createWorld({ seed, disk });
const MIGRATIONS = [{ id: "first", sql: "CREATE TABLE sale (id INTEGER PRIMARY KEY, at TEXT) STRICT" }];
const nothing: RunningNode = { stop: () => Promise.resolve() };

/** A till that stores a sale a second, a turn after it was asked, and tells the hub once it is stored. */
const till =
  (stored: number[]): NodeFactory =>
  (context) => {
    const database = openSqlite(join(context.folder, "till.db"), { migrations: MIGRATIONS });
    const insert = database.prepare("INSERT INTO sale VALUES (?, ?)");
    const port = context.attach(() => undefined);
    const first = Number(database.prepare("SELECT coalesce(max(id), 0) + 1 FROM sale").pluck().get());
    const store = (id: number) =>
      new Promise<void>((resolve) => {
        setImmediate(() => {
          insert.run(id, new Date(context.clock.now()).toISOString());
          stored.push(id);
          resolve();
        });
      });
    const sell = async () => {
      for (let id = first; ; id += 1) {
        await sleep(context.clock, 1_000, context.signal);
        await store(id);
        port.send("hub", id);
      }
    };
    sell().catch((error: unknown) => context.log.info("selling ended", { error }));
    return Promise.resolve({
      stop: () => {
        database.close();
        return Promise.resolve();
      },
    });
  };

const hub =
  (heard: unknown[]): NodeFactory =>
  (context) => {
    context.attach((_from, value) => {
      heard.push(value);
      context.log.info("heard", { value });
    });
    return Promise.resolve(nothing);
  };

function day(world: World) {
  const stored: number[] = [];
  const heard: unknown[] = [];
  world.spawn("hub", hub(heard));
  const node = world.spawn("till", till(stored));
  world.onNode((changed, state) => {
    if (state !== "crashed") return;
    world.timeline.after(3_000, () => {
      changed.start();
      changed.setDiskFaults({ crashAtChange: world.chance.stream("plan").between(1, 300) });
    });
  });
  node.setDiskFaults({ crashAtChange: 50 });
  return { stored, heard, node };
}

describe("time", () => {
  test("passes only in the world, and every promise and immediate of an instant is done before the next", async () => {
    using world = newWorld();
    const seen: string[] = [];
    world.timeline.after(86_400_000, () => seen.push("tomorrow"));
    world.timeline.after(1_000, () => {
      seen.push("event");
      setImmediate(() => {
        seen.push("immediate");
        void (async () => {
          for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
          process.nextTick(() => setImmediate((word: string) => seen.push(word), "immediate of a promise"));
        })();
      });
    });
    world.timeline.after(1_000.001, () => seen.push("a microsecond later"));
    await world.run(86_400_000);
    expect(seen).toEqual(["event", "immediate", "immediate of a promise", "a microsecond later", "tomorrow"]);
    expect(world.now).toBe(86_400_000);
  });

  test("stands still between runs, where Node's own immediates are back", async () => {
    using world = newWorld();
    const real = globalThis.setImmediate;
    let during: unknown;
    world.timeline.after(1, () => {
      during = globalThis.setImmediate;
    });
    await world.run(10);
    expect(globalThis.setImmediate).toBe(real);
    expect(during).not.toBe(real);
    await realTurn();
    expect(world.now).toBe(10);
  });

  test("lets an immediate be cleared and awaited, and forgets it when an event throws", async () => {
    using world = newWorld();
    const seen: string[] = [];
    world.timeline.after(1, () => {
      clearImmediate(setImmediate(() => seen.push("cleared")));
      void promisify(setImmediate)("awaited").then((word) => seen.push(word));
    });
    await world.run(10);
    expect(seen).toEqual(["awaited"]);
    world.timeline.after(1, () => {
      setImmediate(() => seen.push("left behind"));
      throw new Error("an event's own");
    });
    await expect(world.run(20)).rejects.toThrow("an event's own");
    await realTurn();
    expect(seen).toEqual(["awaited"]);
  });

  test("ends when what is waited for cannot come", async () => {
    using world = newWorld();
    await expect(world.run(() => false)).rejects.toThrow("nothing is left that could happen");
    world.timeline.after(5_000, () => undefined);
    await expect(world.run(() => false, 1_000)).rejects.toThrow("the time is over");
    await expect(world.drive(() => new Promise(() => undefined), 1_000)).rejects.toThrow("what never comes");
  });

  test("ends when an event never comes to rest", async () => {
    using world = newWorld();
    world.timeline.after(1, () => {
      const again = () => setImmediate(again);
      again();
    });
    await expect(world.run(10)).rejects.toThrow("never comes to rest");
  });

  test("passes for work that is driven, until it is done", async () => {
    using world = newWorld();
    const node = world.spawn("till", () => Promise.resolve(nothing));
    await world.run(10);
    const done = await world.drive(async () => {
      await sleep(node.clock, 60_000, new AbortController().signal);
      return "done";
    });
    expect(done).toBe("done");
    expect(world.now).toBe(60_010);
    await expect(world.drive(() => Promise.reject(new Error("its own")))).rejects.toThrow("its own");
  });
});

describe("a node", () => {
  test("that crashes at any I/O call keeps every sale that it stored, and tells nobody of another", async () => {
    using world = newWorld();
    const { stored, heard, node } = day(world);
    await world.run(3_600_000);
    await world.drive(() => node.stop());
    expect(node.life).toBeGreaterThan(20);
    expect(heard.length).toBeGreaterThan(1_000);
    node.volume.powerOn();
    const file = openSqlite(join(node.volume.folder, "till.db"), { migrations: MIGRATIONS });
    const there = new Set(file.prepare("SELECT id FROM sale").pluck().all());
    file.close();
    expect(stored.filter((id) => !there.has(id))).toEqual([]);
    expect(heard.filter((id) => !there.has(id))).toEqual([]);
  });

  test("that dies in a call does nothing more: no message, no timer, no line in the log", async () => {
    using world = newWorld();
    const heard: unknown[] = [];
    const after: string[] = [];
    let context: NodeContext | undefined;
    world.spawn("hub", hub(heard));
    const node = world.spawn("till", (given) => {
      context = given;
      const database = openSqlite(join(given.folder, "till.db"), { migrations: MIGRATIONS });
      const port = given.attach(() => undefined);
      given.clock.after(1_000, () => {
        try {
          database.prepare("INSERT INTO sale VALUES (1, '')").run();
        } catch {
          after.push(`alive: ${given.isAlive()}, aborted: ${given.signal.aborted}`);
          port.send("hub", "from the dead");
          given.log.error("from the dead");
          given.clock.after(1, () => after.push("a timer"));
          given.attach(() => after.push("a message"));
        }
      });
      given.clock.after(2_000, () => after.push("a timer that was set"));
      return Promise.resolve(nothing);
    });
    await world.run(500);
    node.setDiskFaults({ crashAtCall: 2 });
    await world.run(10_000);
    expect(after).toEqual(["alive: false, aborted: false"]);
    expect(heard).toEqual([]);
    expect(context?.signal.aborted).toBe(true);
    expect(node.state).toBe("crashed");
    expect(world.trace.tail().join("\n")).not.toContain("from the dead");
    expect(world.counts).toMatchObject({ "node.power-cut": 1, "disk.crash-in-call": 1, "disk.power-cut": 1 });
  });

  test("starts again with its disk, a new life and a monotonic clock from zero", async () => {
    using world = newWorld();
    const lives: unknown[] = [];
    const node = world.spawn("till", (context) => {
      const database = openSqlite(join(context.folder, "till.db"), { migrations: MIGRATIONS });
      const rows = database.prepare("SELECT count(*) FROM sale").pluck().get();
      lives.push([context.life, context.clock.monotonic(), rows]);
      database.prepare("INSERT INTO sale (at) VALUES ('')").run();
      return Promise.resolve(nothing);
    });
    await world.run(5_000);
    node.crash();
    await world.run(6_000);
    node.start();
    await world.run(7_000);
    node.crash("process");
    node.start();
    await world.run(8_000);
    expect(lives).toEqual([
      [1, 0, 0],
      [2, 0, 1],
      [3, 0, 2],
    ]);
    expect(node.clock.now()).toBe(Date.UTC(2026, 0, 5, 9, 0, 8));
  });

  test("that stops in good order frees its files, closed or not", async () => {
    using world = newWorld();
    const node = world.spawn("till", (context) => {
      openSqlite(join(context.folder, "till.db"), { migrations: MIGRATIONS }).pragma("locking_mode = EXCLUSIVE");
      return Promise.resolve(nothing);
    });
    await world.run(1_000);
    await world.drive(() => node.stop());
    expect(node.state).toBe("off");
    node.start();
    await world.run(() => node.state === "running");
    expect(node.life).toBe(2);
    expect(world.counts["node.killed"]).toBeUndefined();
  });

  test("whose program throws at its start has failed, and says why", async () => {
    using world = newWorld();
    const states: string[] = [];
    world.onNode((node, state, why) => states.push(`${node.name} ${state} ${why}`.trimEnd()));
    const node = world.spawn("till", () => Promise.reject(new Error("no key")));
    await world.run(1_000);
    expect(states).toEqual(["till starting life 1", "till failed no key"]);
    expect(node.failure).toBeInstanceOf(Error);
  });

  test("draws its own chance, which no other node shifts", async () => {
    const drawn = async (others: readonly string[]) => {
      using world = newWorld();
      let bytes: Uint8Array | undefined;
      for (const name of others) {
        world.spawn(name, (context) => {
          context.random(100);
          return Promise.resolve(nothing);
        });
      }
      world.spawn("till", (context) => {
        bytes = context.random(16);
        return Promise.resolve(nothing);
      });
      await world.run(10);
      return bytes;
    };
    expect(await drawn(["hub", "phone"])).toEqual(await drawn([]));
  });
});

test("the same seed gives the same trace and the same bytes on every disk, another seed another", async () => {
  const run = async (seed: string) => {
    using world = newWorld(seed);
    world.network.setAll({
      latencyMs: { least: 1, most: 2_000 },
      loss: 0.1,
      repeat: { probability: 0.1, withinMs: 500 },
    });
    const { node, heard } = day(world);
    await world.run(600_000);
    const files = node.volume.files().map(({ name }) => Buffer.from(node.volume.bytes(name)).toString("base64"));
    return { hash: world.hash(), counts: world.counts, files, heard };
  };
  const first = await run("a");
  expect(await run("a")).toEqual(first);
  expect((await run("b")).hash).not.toBe(first.hash);
  expect(first.heard.length).toBeGreaterThan(100);
});

test("every count that is a fault is named", async () => {
  using world = newWorld();
  day(world);
  await world.run(60_000);
  const traffic = ["network.sent", "network.delivered"];
  expect(
    Object.keys(world.counts).filter((name) => !WORLD_FAULT_NAMES.includes(name) && !traffic.includes(name)),
  ).toEqual([]);
});

test("a world that is over has given its disks back", async () => {
  const held = disk.memory().bytes;
  {
    using world = newWorld();
    day(world);
    await world.run(60_000);
    expect(disk.memory().bytes).toBeGreaterThan(held);
  }
  expect(disk.memory().bytes).toBe(held);
});
