"""The network of a virtual cluster: how its machines reach each other, and how this program and its children reach them.

    net = lan.here(8, port)
    extra = net.words(3)                 # for machine 3's QEMU
    net.settings(3)                      # of its configuration
    net.link(5, seen_by=3)               # where 3 finds the node of 5; seen_by=None: where this program does
    net.admin(5)                         # where this program finds its admin console

A bridge with a tap for each in a network namespace of our own, where that can be made (as root, or where users may): nothing of it is seen from
outside. Else QEMU's own user network: each machine has a port of 127.0.0.1, which is 10.0.2.2 to the others.
"""
import ctypes
import os
import subprocess

from . import vm

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LINK_PORT, ADMIN_PORT = 7000, 8443


def mac(i):
    return f"52:54:00:68:00:{i:02x}"


class Bridge:
    name = "bridge in a namespace"

    def __init__(self, count):
        steps = ["link set lo up", "link add br0 type bridge", "link set br0 up", "address add 10.77.0.1/24 dev br0"]
        for i in range(count):
            steps += [f"tuntap add dev tap{i} mode tap", f"link set tap{i} master br0 up"]
        for step in steps:
            self.ip(step)

    @staticmethod
    def ip(words):
        subprocess.run(["ip"] + words.split(), check=True, capture_output=True, text=True)

    def words(self, i):
        return vm.network(0, f"tap,ifname=tap{i},script=no,downscript=no", mac=mac(i))

    def settings(self, i):
        return [f"net.0.mac={mac(i)}", f"net.0.address=10.77.0.{10 + i}/24"]

    def link(self, i, seen_by=None):
        return f"10.77.0.{10 + i}:{LINK_PORT}"

    def admin(self, i):
        return f"10.77.0.{10 + i}:{ADMIN_PORT}"


class User:
    name = "QEMU's user network"

    def __init__(self, count, port):
        self.count, self.port = count, port

    def words(self, i):
        forward = [(self.port + i, LINK_PORT), (self.port + self.count + i, ADMIN_PORT)]
        return vm.network(0, vm.user_network(forward, reaches_host=True), mac=mac(i))

    def settings(self, i):
        return [f"net.0.mac={mac(i)}", "net.0.address=10.0.2.15/24"]

    def link(self, i, seen_by=None):
        if i == seen_by:
            return f"10.0.2.15:{LINK_PORT}"
        return f"{'127.0.0.1' if seen_by is None else '10.0.2.2'}:{self.port + i}"

    def admin(self, i):
        return f"127.0.0.1:{self.port + self.count + i}"


def alone():
    """This process in a network namespace of its own, in which it is root. False: it may not. It must not have threads yet."""
    call, user, group = ctypes.CDLL(None, use_errno=True).unshare, os.getuid(), os.getgid()
    if user == 0 and call(CLONE_NEWNET) == 0:
        return True
    if call(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def here(count, port):
    """`port`: the first of twice `count` on 127.0.0.1, for the case that there is no namespace to be had."""
    if os.access("/dev/net/tun", os.R_OK | os.W_OK) and alone():
        try:
            return Bridge(count)
        except (OSError, subprocess.CalledProcessError) as fault:
            raise vm.Failed(f"a network of our own: {getattr(fault, 'stderr', '') or fault}") from None
    return User(count, port)
