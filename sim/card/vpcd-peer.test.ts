import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex } from "../../base/bytes.ts";
import { systemClock } from "../../base/clock.ts";
import { encodeVpcdFrame, type VpcdCard, VpcdDecoder, VpcdPeer } from "./vpcd-peer.ts";

test("frames come out as they went in, however TCP cuts them", () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
  fc.assert(
    fc.property(frames, fc.integer({ min: 1, max: 50 }), (sent, cut) => {
      const stream = concat(...sent.map(encodeVpcdFrame));
      const decoder = new VpcdDecoder();
      const received = [];
      for (let at = 0; at < stream.length; at += cut) received.push(...decoder.push(stream.subarray(at, at + cut)));
      expect(received).toEqual(sent);
    }),
  );
});

async function reader() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const peer = new VpcdPeer(address.port, systemClock);
  return {
    peer,
    async accept(): Promise<Socket> {
      const [socket] = (await once(server, "connection")) as [Socket];
      return socket;
    },
    async [Symbol.asyncDispose]() {
      peer[Symbol.dispose]();
      server.close();
      await once(server, "close");
    },
  };
}

const card: VpcdCard = { atr: fromHex("3B00"), powered: () => undefined, respond: async () => fromHex("9000") };
const next = async (socket: Socket): Promise<Uint8Array> =>
  new Uint8Array(((await once(socket, "data")) as [Buffer])[0]);

test("a card gives its ATR, and answers only while it has power", async () => {
  await using stand = await reader();
  const accepted = stand.accept();
  await stand.peer.insert(card);
  const socket = await accepted;
  socket.write(encodeVpcdFrame(Uint8Array.of(4)));
  expect(await next(socket)).toEqual(fromHex("0002 3B00"));
  // Without power the command is lost: the next answer is the one to the command after power-on.
  socket.write(encodeVpcdFrame(fromHex("00A40400")));
  socket.write(encodeVpcdFrame(Uint8Array.of(1)));
  socket.write(encodeVpcdFrame(fromHex("00A40400")));
  socket.write(encodeVpcdFrame(Uint8Array.of(4)));
  let answers: Uint8Array = new Uint8Array(0);
  while (answers.length < 8) answers = concat(answers, await next(socket));
  expect(answers).toEqual(fromHex("0002 9000 0002 3B00"));
  expect(stand.peer.state).toBe("powered");
});

test("a card that is in comes back to a reader that restarts, a pulled one does not", async () => {
  await using stand = await reader();
  let accepted = stand.accept();
  await stand.peer.insert(card);
  const first = await accepted;
  accepted = stand.accept();
  first.destroy();
  const second = await accepted;
  second.on("end", () => second.end()).resume();
  await stand.peer.pull();
  expect(stand.peer.state).toBe("out");
});
