"""Checks of the two live tables on a terminal of their own: what they draw, and that they give the terminal back."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from servers import ROOT, Completiond, equal, holds

PROGRAM = os.environ.get("COMPLETIOND", ROOT / "target/debug/completiond")
ENTERED, LEFT, SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
COLOUR = b"\x1b[38;5;"
PATIENCE = 20


class Terminal:
    """A command on a terminal of 100 by 30 cells."""

    def __init__(self, *command, environment=None):
        self.child, self.keys = pty.fork()
        if self.child == 0:
            clean = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **(environment or {})}
            os.execve(PROGRAM, [str(PROGRAM), *command], clean)
        fcntl.ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self.keys)
        self.drawn = b""

    def until(self, words):
        """Reads until the words have been drawn."""
        end = time.monotonic() + PATIENCE
        while words not in self.drawn:
            left = end - time.monotonic()
            holds(left > 0 and self.read(left), f"{words!r} was not drawn: {self.drawn[-2000:]!r}")

    def read(self, seconds):
        if not select.select([self.keys], [], [], seconds)[0]:
            return False
        try:
            drawn = os.read(self.keys, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            drawn = b""
        self.drawn += drawn
        return bool(drawn)

    def press(self, keys):
        os.write(self.keys, keys)

    def ends(self, code):
        """Waits for the end, which leaves the terminal as it was."""
        self.until(LEFT)
        after = termios.tcgetattr(self.keys)
        while self.read(PATIENCE):
            pass
        status = os.waitpid(self.child, 0)[1]
        os.close(self.keys)
        equal(os.waitstatus_to_exitcode(status), code, "exit code")
        holds(SHOWN in self.drawn[self.drawn.rindex(ENTERED):], "the cursor is hidden")
        equal(after[:4], self.before[:4], "the terminal's modes")

    def closed(self):
        """Closes the terminal, and waits until the command has ended."""
        os.close(self.keys)
        end = time.monotonic() + PATIENCE
        while os.waitpid(self.child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(self.child, signal.SIGKILL)
                os.waitpid(self.child, 0)
                holds(False, "it goes on without a terminal")
            time.sleep(0.05)


def run(checks):
    with Completiond() as server:
        tables = {
            "top": (("top", "--interval", "200ms", "--server", server.ops), b"gateway"),
            "pool": (("pool", "--interval", "200ms", "--server", server.admin), b"ENDPOINT"),
        }
        for name, (command, drawn) in tables.items():
            for key, said in ((b"q", "q"), (b"\x1b", "Esc"), (b"\x03", "Ctrl-C")):
                with checks.case(f"terminal: {name} is left by {said}, and the terminal is as it was"):
                    terminal = Terminal(*command)
                    terminal.until(drawn)
                    terminal.press(key)
                    terminal.ends(0)
            with checks.case(f"terminal: {name} gives the terminal back when it is told to end"):
                terminal = Terminal(*command)
                terminal.until(drawn)
                os.kill(terminal.child, signal.SIGTERM)
                terminal.ends(130)
            with checks.case(f"terminal: {name} ends when its terminal is closed"):
                terminal = Terminal(*command)
                terminal.until(drawn)
                terminal.closed()
            with checks.case(f"terminal: {name} has no colours where NO_COLOR is set"):
                for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
                    terminal = Terminal(*command, environment=environment)
                    terminal.until(drawn)
                    terminal.press(b"q")
                    terminal.ends(0)
                    equal(COLOUR in terminal.drawn, coloured, "colours")
        with checks.case("terminal: top obeys its keys"):
            terminal = Terminal(*tables["top"][0])
            # Single words: cells that stay as they are, as spaces between words may, are not drawn again.
            for key, drawn in ((b"", b"MODEL"), (b"2", b"BREAKER"), (b"\t", b"RPC"), (b"?", b"picture"), (b"?p", b"paused")):
                terminal.press(key)
                terminal.until(drawn)
            terminal.press(b"q")
            terminal.ends(0)
