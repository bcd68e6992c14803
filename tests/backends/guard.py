"""Runs a command while its standard input stays open: python guard.py USER SIGNAL COMMAND...

The tests hold the other end of the pipe. However they end, by SIGKILL too, the pipe closes and the
server is stopped by the signal. USER is a number, or empty for whoever runs the tests.
"""

import subprocess
import sys
import threading

PATIENCE = 10


def start(user: str, command: "list[str]") -> "subprocess.Popen[bytes]":
    if not user:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    number = int(user)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, cwd="/", user=number, group=number, extra_groups=[]
    )


def stop_at_end_of_input(server: "subprocess.Popen[bytes]", sign: int) -> None:
    sys.stdin.read()
    server.send_signal(sign)
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    running = start(sys.argv[1], sys.argv[3:])
    how = (running, int(sys.argv[2]))
    threading.Thread(target=stop_at_end_of_input, args=how, daemon=True).start()
    sys.exit(running.wait())
