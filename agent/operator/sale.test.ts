import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../base/clock.ts";
import { ApiClient } from "../client.ts";
import { followPayment } from "./sale.ts";
import { stageWords } from "./words.ts";

const VIEW = {
  id: "p-1",
  operation: "purchase",
  status: "processing",
  amount: { minor: "100", currency: "EUR" },
  ticket: "none",
  startedAt: "2026-01-05T09:00:00.000Z",
};

const AWAY = "the agent ended; waiting for it to come back";

const servers: (() => void)[] = [];
afterEach(() => {
  for (const close of servers.splice(0)) close();
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** An API of three routes: answers to the post in turn, or after the answer to a cancellation, and an event stream. */
async function api(answers: (Answer | "ends")[], cancel?: Answer) {
  const streams: ServerResponse[] = [];
  const posts: string[] = [];
  const begun = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  if (!cancel) cancelled.resolve();
  const server = createServer((request, response) => {
    if (request.url === "/v1/payments/p-1/cancel") {
      response.writeHead(cancel?.status ?? 500).end(JSON.stringify(cancel?.body));
      response.once("close", () => cancelled.resolve());
      return;
    }
    if (request.url === "/v1/events") {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": tillway events\n\n");
      streams.push(response);
      return;
    }
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on("end", () => {
      posts.push(text);
      // One event comes in two pieces, as networks cut where they like.
      streams[0]?.write('event: payment.stage\ndata: {"id":"p-1","sta');
      streams[0]?.write(
        'ge":"intent-stored"}\n\nevent: payment.stage\ndata: {"id":"other","stage":"online-request-sent"}\n\n',
      );
      streams[0]?.write('event: payment.hint\ndata: {"id":"p-1","detail":"a product code"}\n\n');
      streams[0]?.write('event: payment.hint\ndata: {"id":"other","detail":"not ours"}\n\n');
      begun.resolve();
      const answer = answers.shift();
      void cancelled.promise.then(() => {
        if (answer === "ends") server.closeAllConnections();
        else response.writeHead(answer?.status ?? 500).end(JSON.stringify(answer?.body));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: new ApiClient({ address, token: "t" }, systemClock), posts, begun: begun.promise };
}

/** Waits for nothing. */
const hurried: Clock = { ...systemClock, after: (_delayMs, callback) => systemClock.after(0, callback) };

function follow(client: ApiClient, words: string[] = [], interrupt = new AbortController().signal) {
  return followPayment({
    client,
    clock: hurried,
    start: { method: "POST", path: "/v1/payments", body: { id: "p-1" } },
    id: "p-1",
    interrupt,
    signal: new AbortController().signal,
    words: stageWords,
    onStage: (stage) => words.push(stage),
  });
}

test("RM4 a payment that outlasts one wait is attached to again under the same id, and its stages are told", async () => {
  const { client, posts } = await api([
    { status: 202, body: VIEW },
    { status: 200, body: { ...VIEW, status: "approved" } },
  ]);
  const words: string[] = [];
  expect((await follow(client, words)).status).toBe("approved");
  expect(posts).toEqual(['{"id":"p-1"}', '{"id":"p-1"}']);
  expect(words.slice(0, 2)).toEqual(["payment p-1", "present card or code"]);
  expect(words).not.toContain("going online");
  expect(words).toContain("a product code");
  expect(words).not.toContain("not ours");
});

test("a refusal is one line with the field", async () => {
  const { client } = await api([
    { status: 409, body: { error: { code: "E_CONFLICT", path: "amount.minor", message: "another amount" } } },
  ]);
  await expect(follow(client)).rejects.toThrow("amount.minor: another amount");
});

test("what is no agent is named as such", async () => {
  const { client } = await api([{ status: 500, body: { oops: 1 } }]);
  await expect(follow(client)).rejects.toThrow(/answered 500: is that an agent\?/);
});

test("an interrupt asks the agent to cancel, and the payment's end says what came of it", async () => {
  const aborted = { ...VIEW, status: "aborted", detail: "cancelled before a card came" };
  const { client, begun } = await api([{ status: 200, body: aborted }], { status: 200, body: VIEW });
  const words: string[] = [];
  const interrupt = new AbortController();
  const ended = follow(client, words, interrupt.signal);
  await begun;
  interrupt.abort();
  expect(await ended).toMatchObject({ status: "aborted", detail: "cancelled before a card came" });
  expect(words).toContain("cancelling");
});

test("an interrupt that comes too late is told as such, and the payment is followed to its approval", async () => {
  const refusal = { error: { code: "E_STATE", message: "the card is being worked with" } };
  const { client, begun } = await api([{ status: 200, body: { ...VIEW, status: "approved" } }], {
    status: 409,
    body: refusal,
  });
  const words: string[] = [];
  const interrupt = new AbortController();
  const ended = follow(client, words, interrupt.signal);
  await begun;
  interrupt.abort();
  expect((await ended).status).toBe("approved");
  expect(words).toContain("not cancelled: the card is being worked with");
});

test("an interrupt before anything was asked of the agent begins no payment", async () => {
  const { client, posts } = await api([]);
  await expect(follow(client, [], AbortSignal.abort())).rejects.toThrow("payment p-1 was not begun");
  expect(posts).toEqual([]);
});

test("RM4 a payment whose agent ended is asked after again under the same id, which was told before anything was asked", async () => {
  const { client, posts } = await api(["ends", "ends", { status: 200, body: { ...VIEW, status: "approved" } }]);
  const words: string[] = [];
  expect((await follow(client, words)).status).toBe("approved");
  expect(posts).toEqual(['{"id":"p-1"}', '{"id":"p-1"}', '{"id":"p-1"}']);
  expect(words[0]).toBe("payment p-1");
  expect(words.filter((line) => line === AWAY)).toHaveLength(1);
});

test("an agent that stops answers as one that has ended", async () => {
  const stopping = { error: "Service Unavailable", statusCode: 503 };
  const { client, posts } = await api([
    { status: 503, body: stopping },
    { status: 200, body: { ...VIEW, status: "approved" } },
  ]);
  expect((await follow(client)).status).toBe("approved");
  expect(posts).toHaveLength(2);
});

test("RM4 an agent that does not come back leaves the cashier the id to ask again with", async () => {
  const { client, posts } = await api(new Array(200).fill("ends"));
  await expect(follow(client)).rejects.toMatchObject({
    code: "transport.closed",
    message: expect.stringMatching(/^the agent ended .*payment p-1 .*run it again with --id p-1/),
  });
  expect(posts.length).toBeGreaterThan(10);
});

test("who has interrupted a payment begins none anew at an agent that ended meanwhile", async () => {
  const { client, posts, begun } = await api(["ends"], { status: 200, body: VIEW });
  const interrupt = new AbortController();
  const ended = follow(client, [], interrupt.signal);
  await begun;
  interrupt.abort();
  await expect(ended).rejects.toThrow(/payment p-1 .*see tillway payments p-1/);
  expect(posts).toHaveLength(1);
});

test("an agent that is not there is told at once, and no payment is named", async () => {
  const client = new ApiClient({ address: "http://127.0.0.1:1", token: "t" }, systemClock);
  const words: string[] = [];
  await expect(follow(client, words)).rejects.toThrow(
    /^the agent is not running \(nothing listens on [^)]*\); start it/,
  );
  expect(words).toEqual([]);
});
