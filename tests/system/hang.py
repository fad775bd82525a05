#!/usr/bin/env python3
"""A node that hangs: it runs, keeps its sockets and answers nothing, as a stopped process does. The appliance's admin console finds that out and has
init restart it, once; the node votes again. The cluster is real, init is played here.

  tests/system/hang.py short|long
"""
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin_https import Admin, Played  # noqa: E402
from cluster import Cases, System  # noqa: E402
import members  # noqa: E402

NODE = "c0-n2"
LIMIT_S = 100  # a minute, and what the questions before it took


class Init(Played):
    """Says which process the node is, and restarts it when asked."""

    def __init__(self, path, system):
        self.system, self.asked, self.when = system, [], 0.0
        super().__init__(path, socket.SOCK_SEQPACKET)

    def answer_to(self, asked, peer):
        if asked == "status":
            peer.sendall(f"ok\nprogram.node=up pid={self.system.live[NODE].pid} restarts=0 \n".encode())
        elif asked.startswith("log "):
            peer.sendall(b"ok\n")
        else:
            self.asked.append(asked)
            self.when = time.monotonic()
            self.system.kill(NODE, signal.SIGKILL)
            self.system.start(NODE)
            peer.sendall(b"ok\n")


def main():
    cases = Cases()
    with System() as system:
        system.start_all()
        cases.case("the system is ready", system.wait_ready())
        here = os.getcwd()
        os.chdir(system.root)  # paths of sockets are short
        init = Init("init.sock", system)
        os.chdir(here)
        admin = Admin(system.root, [f"{NODE}/control.sock"], f"{system.dir}/admin", ("--init", "init.sock"))
        try:
            time.sleep(12)  # looks at a node that is well
            cases.case("a node that answers is left alone", init.asked == [] and "heraclius_machine_node_hangs_total{node=\"c0-n2\"} 0" in
                       admin.http("GET", "/metrics")[2], init.asked)
            os.kill(system.live[NODE].pid, signal.SIGSTOP)
            began = time.monotonic()
            found = Admin.wait(lambda: init.asked, LIMIT_S)
            cases.case("one that answers nothing for a minute is restarted by init", found and init.asked == ["restart node sure"], init.asked)
            cases.case("not before the minute is over", init.when - began >= 55, init.when - began)
            cases.case("it votes again", members.wait_phase(system, NODE, "voting"), system.ask(NODE))
            said = Admin.wait(lambda: [x for x in admin.lines if "answered nothing for a minute" in x and x.endswith(": ok\n")], 10)
            cases.case("the log says so", said, admin.lines)
            with open(f"{system.dir}/admin/audit.jsonl") as audit:
                told = audit.read()
            cases.case("and the audit log", '"heraclius-admin"' in told and '"restart"' in told and '"done"' in told, told)
            cases.case("and the metrics", "heraclius_machine_node_hangs_total{node=\"c0-n2\"} 1" in admin.http("GET", "/metrics")[2])
        finally:
            admin.stop()
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
