"""
A HID device on hidraw without hardware, by umockdev: the /sys entries, the device node as a pseudo terminal, and the ioctls
that give the report descriptor. Told what to do by lines of JSON on standard input, answers each by a line on standard output.
Ends with its input, so that it never outlives the simulator that started it, and removes the folder it was given.
"""
import collections
import json
import os
import shutil
import struct
import sys
import termios
import threading
import time
import tty

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402

# A report that nobody has read by then is lost, as one is that comes while nobody has the device open.
READ_WITHIN_S = 1.0
LOOK_EVERY_S = 0.0005
# What makes the node readable; the report itself is handed over by the handler of the read.
WAKE = b"!"
PLUG_WITHIN_S = 5.0

BUS = "/devices/pci0000:00/0000:00:14.0/usb1/1-1"
IOCTL_TYPE = ord("H")
GET_DESCRIPTOR_SIZE = 0x01
GET_DESCRIPTOR = 0x02


class HidIoctls(UMockdev.IoctlBase):
    def __init__(self, descriptor, slave):
        super().__init__()
        self.descriptor = descriptor
        self.reports = collections.deque()
        self.slave = slave

    def do_handle_read(self, client):
        """One read, one report: a pseudo terminal alone would join those that come close together."""
        if not self.reports:
            return False
        os.read(self.slave, len(WAKE))
        report = self.reports.popleft()
        client.get_arg().update(0, report)
        client.complete(len(report), 0)
        return True

    def do_handle_ioctl(self, client):
        request = client.get_request() & 0xFFFFFFFF
        number, kind = request & 0xFF, (request >> 8) & 0xFF
        size = len(self.descriptor)
        argument = client.get_arg()
        if kind == IOCTL_TYPE and number == GET_DESCRIPTOR_SIZE:
            argument.resolve(0, 4).update(0, struct.pack("<i", size))
        elif kind == IOCTL_TYPE and number == GET_DESCRIPTOR:
            argument.resolve(0, 4 + size).update(0, struct.pack("<I", size) + self.descriptor)
        else:
            return False
        client.complete(0, 0)
        return True


class Bench:
    def __init__(self, device):
        self.device = device
        self.testbed = UMockdev.Testbed.new()
        self.plugs = 0
        self.master = None
        self.slave = None
        self.ioctls = None

    @property
    def root(self):
        return self.testbed.get_root_dir()

    @property
    def node(self):
        # A testbed keeps a node's name for ever, so each plugging-in has its own; the kernel promises no stable one either.
        return f"hidraw{self.plugs - 1}"

    def paths(self):
        device = self.device
        interface = f"{BUS}/1-1:1.0"
        hid = f"{interface}/0003:{device['vendor']:04X}:{device['product']:04X}.{self.plugs:04X}"
        return [f"{hid}/hidraw/{self.node}", hid, interface, BUS]

    def plug(self):
        if self.master is not None:
            return
        self.plugs += 1
        device = self.device
        hidraw, hid, interface, bus = self.paths()
        identity = f"0003:{device['vendor']:08X}:{device['product']:08X}"
        self.testbed.add_from_string(
            f"""P: {bus}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
A: idVendor={device['vendor']:04x}
A: idProduct={device['product']:04x}
A: serial={device['serial']}
A: manufacturer={device['manufacturer']}
A: product={device['name']}
A: bcdDevice=0100

P: {interface}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_interface
A: bInterfaceNumber=00

P: {hid}
E: SUBSYSTEM=hid
E: HID_ID={identity}
E: HID_NAME={device['manufacturer']} {device['name']}
E: HID_PHYS=usb-0000:00:14.0-1/input0
E: HID_UNIQ={device['serial']}
H: report_descriptor={device['descriptor'].upper()}

P: {hidraw}
N: {self.node}
E: SUBSYSTEM=hidraw
E: DEVNAME=/dev/{self.node}
E: MAJOR=240
E: MINOR={self.plugs - 1}
L: device=../../../{os.path.basename(hid)}
"""
        )
        path = f"/dev/{self.node}"
        # Ours to count and to clear with; it also keeps the node from hanging up whenever the driver closes it.
        self.slave = os.open(os.readlink(f"{self.root}{path}"), os.O_RDWR | os.O_NOCTTY)
        self.ioctls = HidIoctls(bytes.fromhex(device["descriptor"]), self.slave)
        self.testbed.attach_ioctl(path, self.ioctls)
        self.master = self.testbed.get_dev_fd(path)
        tty.setraw(self.master)

    def unplug(self):
        if self.master is None:
            return
        path = f"/dev/{self.node}"
        os.unlink(f"{self.root}{path}")
        for syspath in self.paths():
            self.testbed.remove_device(f"/sys{syspath}")
        self.testbed.detach_ioctl(path)
        # Closing the master is what an open reader feels as the end of the device.
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = self.ioctls = None

    def send(self, reports):
        """How many of them were read."""
        if self.master is None:
            raise RuntimeError("the scanner is unplugged")
        waiting = self.ioctls.reports
        for report in reports:
            waiting.append(report)
            os.write(self.master, WAKE)
        until = time.monotonic() + READ_WITHIN_S
        before = len(waiting)
        while waiting:
            if time.monotonic() > until and len(waiting) == before:
                break
            if len(waiting) != before:
                before = len(waiting)
                until = time.monotonic() + READ_WITHIN_S
            time.sleep(LOOK_EVERY_S)
        lost = len(waiting)
        waiting.clear()
        if lost > 0:
            termios.tcflush(self.slave, termios.TCIFLUSH)
        return len(reports) - lost


def on_main(action):
    """Runs in the thread of the main loop, which owns the testbed."""
    done = threading.Event()
    failure = []

    def run():
        try:
            action()
        except Exception as error:  # Told to the asker.
            failure.append(error)
        done.set()
        return False

    GLib.idle_add(run)
    if not done.wait(PLUG_WITHIN_S):
        raise RuntimeError("the testbed does not answer")
    if failure:
        raise failure[0]


def answer(bench, line):
    command = json.loads(line)
    what = command["do"]
    if what == "plug":
        on_main(bench.plug)
    elif what == "unplug":
        on_main(bench.unplug)
    elif what == "reports":
        return {"ok": True, "read": bench.send([bytes.fromhex(text) for text in command["hex"]])}
    else:
        raise ValueError(f"unknown command {what}")
    return {"ok": True}


def say(message):
    print(json.dumps(message), flush=True)


def serve(bench, loop):
    for line in sys.stdin:
        try:
            say(answer(bench, line))
        except Exception as error:  # One command that fails must not end the device.
            say({"ok": False, "error": str(error)})
    loop.quit()


def main():
    bench = Bench(json.loads(sys.argv[1]))
    loop = GLib.MainLoop()
    bench.plug()
    say({"ok": True, "root": bench.root})
    threading.Thread(target=serve, args=(bench, loop), daemon=True).start()
    loop.run()
    # Also when the simulator was killed, and cannot clear up itself.
    shutil.rmtree(sys.argv[2], ignore_errors=True)


main()
