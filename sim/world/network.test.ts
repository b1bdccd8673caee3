import { describe, expect, test } from "vitest";
import { ChanceStream } from "./chance.ts";
import { Timeline } from "./clock.ts";
import { Counts } from "./counts.ts";
import { GOOD_LINK, type LinkQuality, SimulatedNetwork } from "./network.ts";

interface Arrival {
  readonly from: string;
  readonly value: unknown;
  readonly at: number;
}

function setUp(seed = "seed") {
  const timeline = new Timeline();
  const counts = new Counts();
  const network = new SimulatedNetwork({
    timeline,
    counts,
    chance: new ChanceStream(seed),
    record: () => undefined,
    corrupt: (value, chance) => (chance.happens(0.5) ? `garbled ${String(value)}` : undefined),
  });
  const arrivals: Arrival[] = [];
  const hub = network.attach("hub", (from, value) => arrivals.push({ from, value, at: timeline.now }));
  const agent = network.attach("agent", (from, value) => arrivals.push({ from, value, at: timeline.now }));
  const run = () => {
    while (timeline.step(Number.POSITIVE_INFINITY));
    return arrivals;
  };
  const sendMany = (quality: LinkQuality, count = 1_000) => {
    network.setAll(quality);
    for (let value = 0; value < count; value += 1) agent.send("hub", value);
    return run().map((arrival) => arrival.value);
  };
  return { timeline, counts, network, hub, agent, arrivals, run, sendMany };
}

const numbers = Array.from({ length: 1_000 }, (_, value) => value);

describe("a link", () => {
  test("that is good delivers all, in order, within its latency", () => {
    const { sendMany, arrivals } = setUp();
    expect(sendMany({ latencyMs: { least: 10, most: 20 } })).toEqual(numbers);
    expect(arrivals.every(({ at }) => at >= 10 && at <= 20)).toBe(true);
    expect(new Set(arrivals.map(({ from }) => from))).toEqual(new Set(["agent"]));
  });

  test("loses about as many as told", () => {
    const { sendMany, counts } = setUp();
    const there = sendMany({ ...GOOD_LINK, loss: 0.2 });
    expect(there.length).toBeGreaterThan(740);
    expect(there.length).toBeLessThan(860);
    expect(counts.of("network.lost")).toBe(1_000 - there.length);
  });

  test("delays, and what comes after waits", () => {
    const { sendMany, arrivals, counts } = setUp();
    expect(sendMany({ ...GOOD_LINK, delay: { probability: 0.01, mostMs: 60_000 } })).toEqual(numbers);
    expect(arrivals.at(-1)?.at).toBeGreaterThan(10_000);
    expect(counts.of("network.delayed")).toBeGreaterThan(2);
  });

  test("repeats", () => {
    const { sendMany, counts } = setUp();
    const there = sendMany({ ...GOOD_LINK, repeat: { probability: 0.1, withinMs: 5_000 } });
    expect(there.length).toBe(1_000 + counts.of("network.repeated"));
    expect(counts.of("network.repeated")).toBeGreaterThan(60);
    expect(new Set(there).size).toBe(1_000);
  });

  test("reorders, and loses none of it", () => {
    const { sendMany, counts } = setUp();
    const there = sendMany({ ...GOOD_LINK, reorder: { probability: 0.1, withinMs: 5_000 } });
    expect(there).not.toEqual(numbers);
    expect(there.map(Number).sort((a, b) => a - b)).toEqual(numbers);
    expect(counts.of("network.reordered")).toBeGreaterThan(60);
  });

  test("garbles, some so that nothing arrives", () => {
    const { sendMany, counts } = setUp();
    const there = sendMany({ ...GOOD_LINK, corruption: 0.1 });
    const garbled = there.filter((value) => String(value).startsWith("garbled"));
    expect(garbled.length).toBeGreaterThan(20);
    expect(counts.of("network.corrupted")).toBe(garbled.length + 1_000 - there.length);
  });

  test("is asymmetric when its directions are", () => {
    const { network, hub, agent, run } = setUp();
    network.setDirection("agent", "hub", { latencyMs: { least: 1, most: 1 } });
    network.setDirection("hub", "agent", { latencyMs: { least: 500, most: 500 }, loss: 0 });
    agent.send("hub", "up");
    hub.send("agent", "down");
    expect(run()).toEqual([
      { from: "agent", value: "up", at: 1 },
      { from: "hub", value: "down", at: 500 },
    ]);
  });

  test("that is cut passes nothing, neither what is on its way nor what is sent; healed it does", () => {
    const { network, hub, agent, run, counts } = setUp();
    const changes: string[] = [];
    network.onChange((from, to, open) => changes.push(`${from}>${to} ${open ? "open" : "dead"}`));
    agent.send("hub", "on its way");
    network.cut("agent", "hub");
    agent.send("hub", "lost");
    hub.send("agent", "lost");
    expect(run()).toEqual([]);
    network.heal("hub", "agent");
    agent.send("hub", "after");
    expect(run().map(({ value }) => value)).toEqual(["after"]);
    expect(changes).toEqual(["agent>hub dead", "hub>agent dead", "hub>agent open", "agent>hub open"]);
    expect(counts.table()).toMatchObject({ "network.cut": 1, "network.into-dead-link": 3 });
  });

  test("that is half open passes one way", () => {
    const { network, hub, agent, run, counts } = setUp();
    network.halfOpen("agent", "hub");
    agent.send("hub", "up");
    hub.send("agent", "down");
    expect(run().map(({ value }) => value)).toEqual(["down"]);
    expect([network.isOpen("agent", "hub"), network.isOpen("hub", "agent")]).toEqual([false, true]);
    expect(counts.of("network.half-open")).toBe(1);
  });
});

test("a node that is gone gets nothing and says nothing; its next life gets what is on its way", () => {
  const { network, hub, agent, run, arrivals } = setUp();
  agent.send("hub", "late");
  hub.detach();
  const next: unknown[] = [];
  network.attach("hub", (_from, value) => next.push(value));
  hub.send("agent", "from the dead");
  hub.detach();
  run();
  expect(next).toEqual(["late"]);
  expect(arrivals).toEqual([]);
});

test("the same seed treats the same messages alike", () => {
  const quality: LinkQuality = {
    latencyMs: { least: 1, most: 300 },
    loss: 0.1,
    delay: { probability: 0.1, mostMs: 5_000 },
    repeat: { probability: 0.1, withinMs: 1_000 },
    reorder: { probability: 0.1, withinMs: 1_000 },
    corruption: 0.1,
  };
  const run = (seed: string) => {
    const world = setUp(seed);
    world.sendMany(quality);
    return world.arrivals;
  };
  expect(run("a")).toEqual(run("a"));
  expect(run("a")).not.toEqual(run("b"));
});
