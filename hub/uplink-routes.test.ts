import Fastify from "fastify";
import { expect, test } from "vitest";
import { reasonOf } from "../base/fault.ts";
import { silentLog } from "../base/log.ts";
import { ok } from "../base/result.ts";
import { hubFixture } from "../test/rules/hub-fixture.ts";
import { UPLINK_PATH } from "../wire/topics.ts";
import { TooOften } from "./http.ts";
import type { RateLimit } from "./rate-limit.ts";
import { createRefusals } from "./refusals.ts";
import { registerTerminalDoorRoutes } from "./uplink-routes.ts";

const ADMISSION_MS = 1_000;

async function routes(more: { readonly admissionMs?: number; readonly limit?: RateLimit } = {}) {
  const { hub, clock, terminal } = await hubFixture();
  const app = Fastify();
  app.setValidatorCompiler(() => () => true);
  app.setErrorHandler((error, _, reply) =>
    reply.code(error instanceof TooOften ? 429 : 500).send({ why: reasonOf(error) }),
  );
  const arrivals: (number | undefined)[] = [];
  registerTerminalDoorRoutes(app, {
    clock,
    refusals: createRefusals({ clock, log: silentLog, metrics: hub.metrics }),
    limit: more.limit ?? (() => 0),
    hub: {
      ...hub,
      async receive(_envelope, arrivedAt) {
        arrivals.push(arrivedAt);
        return [];
      },
    },
    door: {
      async admit() {
        clock.setWall(clock.now() + (more.admissionMs ?? 0));
        return ok({ terminalId: terminal.terminalId, standing: "all", endsAt: Number.MAX_SAFE_INTEGER });
      },
      enrol: () => Promise.reject(new Error("nobody enrols")),
      renew: () => Promise.reject(new Error("nobody renews")),
    },
  });
  const { sentAt, ...head } = terminal.head();
  const body = { status: "online", version: "1", clock: sentAt };
  const payload = { ...head, sentAt, type: "presence", body };
  return { clock, arrivals, tell: () => app.inject({ method: "POST", url: UPLINK_PATH, payload }) };
}

test("RM2 a message is as late as it was when it came, however long its terminal's admission took", async () => {
  const { clock, arrivals, tell } = await routes({ admissionMs: ADMISSION_MS });
  const cameAt = clock.now();
  expect((await tell()).json()).toEqual({ messages: [] });
  expect(arrivals).toEqual([cameAt]);
});

test("a terminal that says too much waits, by its own limit, and nothing of it reaches the hub meanwhile", async () => {
  const asked: string[] = [];
  const limit = (source: string) => (asked.push(source) > 2 ? 3 : 0);
  const { arrivals, tell } = await routes({ limit });
  const answers = [await tell(), await tell(), await tell()].map(({ statusCode }) => statusCode);
  expect(answers).toEqual([200, 200, 429]);
  expect(arrivals).toHaveLength(2);
  expect(new Set(asked)).toEqual(new Set(["T1"]));
});
