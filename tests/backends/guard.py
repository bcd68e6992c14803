"""Runs a command for as long as its standard input stays open: python guard.py COMMAND...

The tests hold the other end of the pipe. However they end, by SIGKILL too, the pipe closes and the
server is stopped.
"""

import subprocess
import sys
import threading

PATIENCE = 10


def stop_at_end_of_input(server: "subprocess.Popen[bytes]") -> None:
    sys.stdin.read()
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    running = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=stop_at_end_of_input, args=(running,), daemon=True).start()
    sys.exit(running.wait())
