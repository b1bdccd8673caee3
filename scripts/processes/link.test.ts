import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../lib/processes.ts";
import { Link } from "./link.ts";

/** Answers every piece with itself. */
let echo: Server;
let heard: string;
let link: Link;
let port: number;

beforeEach(async () => {
  heard = "";
  echo = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      heard += chunk.toString();
      socket.write(chunk);
    });
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  link = new Link();
  const hub = (echo.address() as AddressInfo).port;
  ({ mqtts: port } = await link.open({ https: hub, mqtts: hub }));
});
afterEach(async () => {
  await link[Symbol.asyncDispose]();
  echo.close();
});

interface Client {
  readonly socket: Socket;
  got: string;
}

async function client(): Promise<Client> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const made: Client = { socket, got: "" };
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    made.got += chunk.toString();
  });
  await Promise.race([once(socket, "connect"), once(socket, "close")]).catch(() => undefined);
  return made;
}

const told = (what: string, holds: () => boolean) => until(what, () => holds() || undefined, 5_000);

test("what is sent comes back, late pieces in their order even when the delay ends between them", async () => {
  const one = await client();
  one.socket.write("now ");
  await told("the first piece", () => one.got === "now ");
  link.late(150);
  one.socket.write("late ");
  await told("the late piece to be under way", () => link.lateNow > 0);
  link.late(0);
  one.socket.write("last");
  await told("all to come back", () => one.got === "now late last");
});

test("a cut link resets what there is and lets nothing new come about", async () => {
  const one = await client();
  link.set("cut");
  await told("the connection to end", () => one.socket.destroyed);
  const other = await client();
  await told("the new one to end", () => other.socket.destroyed);
  expect(heard).toBe("");
});

test("a frozen link tells nobody and loses nothing: thawed, all of it arrives", async () => {
  const one = await client();
  one.socket.write("a");
  await told("the answer", () => one.got === "a");
  link.set("frozen");
  one.socket.write("b");
  const other = await client();
  other.socket.write("c");
  expect([heard, one.socket.destroyed]).toEqual(["a", false]);
  link.set("up");
  await told("what was held", () => one.got === "ab" && other.got === "c");
});

test("a deaf link lets the hub hear, loses its answers, and its connections end with the deafness", async () => {
  const one = await client();
  link.deafAfter(1);
  one.socket.write("a");
  await told("the last answer", () => one.got === "a");
  one.socket.write("bb");
  await told("the hub to hear", () => heard === "abb");
  await told("the answer to be lost", () => link.lostBytes === 2 && link.state === "deaf");
  expect(one.got).toBe("a");
  link.set("up");
  await told("the connection to end", () => one.socket.destroyed);
});
