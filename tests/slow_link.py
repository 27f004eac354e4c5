"""A link between two network namespaces that delays frames and loses some, for kernels without netem.

python -m tests.slow_link SPACE NAME SPACE NAME DELAY_S LOSS: makes a device of that name in either namespace, says
`made`, and passes frames on until it is ended.
"""

import ctypes
import fcntl
import os
import random
import selectors
import struct
import sys
import time
from collections import deque
from pathlib import Path

_NEW_NET, _TUNSETIFF, _TAP_WITHOUT_HEADER = 0x40000000, 0x400454CA, 0x1002
_FRAME_BYTES = 65536


def open_tap(space, name):
    """The end, in this process, of a new device in a namespace."""
    with Path("/run/netns", space).open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NET):
            raise OSError(ctypes.get_errno(), f"setns {space}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return tap


def pass_on(ends, delay_s, loss):
    """Pass frames from either end to the other, late, but for those that are lost."""
    other, late, chance = {ends[0]: ends[1], ends[1]: ends[0]}, deque(), random.Random(0)
    watch = selectors.DefaultSelector()
    for end in ends:
        watch.register(end, selectors.EVENT_READ)
    while True:
        wait_s = max(0.0, late[0][0] - time.monotonic()) if late else None
        for key, _ in watch.select(wait_s):
            frame = os.read(key.fd, _FRAME_BYTES)
            if chance.random() >= loss:
                late.append((time.monotonic() + delay_s, other[key.fd], frame))
        while late and late[0][0] <= time.monotonic():
            _, end, frame = late.popleft()
            try:
                os.write(end, frame)
            except OSError:
                continue  # a device that is down, or full, loses it


if __name__ == "__main__":
    made = [open_tap(sys.argv[1], sys.argv[2]), open_tap(sys.argv[3], sys.argv[4])]
    sys.stdout.write("made\n")
    sys.stdout.flush()
    pass_on(made, float(sys.argv[5]), float(sys.argv[6]))
