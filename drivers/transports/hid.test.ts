import { expect, test } from "vitest";
import { chooseInterface, type HidKind } from "./hid.ts";

const POS = { vendorId: 0x0c2e, productId: 0x0b62, path: "/dev/hidraw0", interface: 0, usagePage: 0x8c, usage: 2 };
const KEYBOARD = { ...POS, path: "/dev/hidraw1", interface: 1, usagePage: 1, usage: 6 };
const MAKERS_OWN = { ...POS, path: "/dev/hidraw2", interface: 2, usagePage: 0xff66, usage: 1 };
const MOUSE = {
  ...POS,
  vendorId: 0x046d,
  productId: 0xc077,
  path: "/dev/hidraw3",
  product: "Mouse",
  usagePage: 1,
  usage: 2,
};
const wanted = (kind: HidKind, named: { readonly serial?: string; readonly path?: string } = {}) => ({
  vendor: 0x0c2e,
  product: 0x0b62,
  kind,
  ...named,
});

test.each<[HidKind, string]>([
  ["any", "/dev/hidraw0"],
  ["pos", "/dev/hidraw0"],
  ["keyboard", "/dev/hidraw1"],
])("of a scanner with several interfaces, %s takes %s", (kind, path) => {
  expect(chooseInterface([MOUSE, MAKERS_OWN, KEYBOARD, POS], wanted(kind)).path).toBe(path);
});

test("a typing scanner is taken where there is no POS interface", () => {
  expect(chooseInterface([MAKERS_OWN, KEYBOARD], wanted("any"))).toMatchObject({ path: "/dev/hidraw1", usagePage: 1 });
});

test("mode= takes an interface that does not say what it is", () => {
  expect(chooseInterface([MAKERS_OWN], wanted("pos")).path).toBe("/dev/hidraw2");
  expect(() => chooseInterface([MAKERS_OWN], wanted("any"))).toThrow(
    /is no code scanner \(usage page ff66\): set it to/,
  );
});

test("one that is not there is told with what is", () => {
  expect(() => chooseInterface([], wanted("any"))).toThrow(
    "no code scanner 0c2e:0b62 is connected: plug it in; no HID device is connected",
  );
  expect(() => chooseInterface([MOUSE], wanted("any"))).toThrow("there are 046d:c077 Mouse");
  expect(() => chooseInterface([{ ...POS, serialNumber: "A1" }], wanted("any", { serial: "B2" }))).toThrow(
    "no device 0c2e:0b62 has that serial number or path; there are /dev/hidraw0 (serial A1)",
  );
});

test("of two that are alike none is guessed; a serial number or a path names one", () => {
  const twin = { ...POS, path: "/dev/hidraw7", serialNumber: "T" };
  expect(() => chooseInterface([POS, twin], wanted("any"))).toThrow("name one by ?serial= or ?path=");
  expect(chooseInterface([POS, twin], wanted("any", { serial: "T" })).path).toBe("/dev/hidraw7");
  expect(chooseInterface([POS, twin], wanted("any", { path: "/dev/hidraw0" })).path).toBe("/dev/hidraw0");
});
