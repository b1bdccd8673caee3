import Fastify from "fastify";
import { expect, test } from "vitest";
import { silentLog } from "../base/log.ts";
import { ok } from "../base/result.ts";
import { hubFixture } from "../test/rules/hub-fixture.ts";
import { UPLINK_PATH } from "../wire/topics.ts";
import { createRefusals } from "./refusals.ts";
import { registerTerminalDoorRoutes } from "./uplink-routes.ts";

const ADMISSION_MS = 1_000;

test("RM2 a message is as late as it was when it came, however long its terminal's admission took", async () => {
  const { hub, clock, terminal } = await hubFixture();
  const app = Fastify();
  app.setValidatorCompiler(() => () => true);
  const arrivals: (number | undefined)[] = [];
  const refusals = createRefusals({ clock, log: silentLog, metrics: hub.metrics });
  registerTerminalDoorRoutes(app, {
    clock,
    refusals,
    hub: {
      ...hub,
      async receive(_envelope, arrivedAt) {
        arrivals.push(arrivedAt);
        return [];
      },
    },
    door: {
      async admit() {
        clock.setWall(clock.now() + ADMISSION_MS);
        return ok({ terminalId: terminal.terminalId, standing: "all", endsAt: Number.MAX_SAFE_INTEGER });
      },
      enrol: () => Promise.reject(new Error("nobody enrols")),
      renew: () => Promise.reject(new Error("nobody renews")),
    },
  });
  const { sentAt, ...head } = terminal.head();
  const body = { status: "online", version: "1", clock: sentAt };
  const payload = { ...head, sentAt, type: "presence", body };
  const cameAt = clock.now();
  const answer = await app.inject({ method: "POST", url: UPLINK_PATH, payload });
  expect(answer.json()).toEqual({ messages: [] });
  expect(arrivals).toEqual([cameAt]);
});
