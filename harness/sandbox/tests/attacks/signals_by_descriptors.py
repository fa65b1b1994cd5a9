# A descriptor can have a signal of any kind sent to any process when something comes, without a call that kills.
import fcntl, signal, socket

F_SETSIG, F_SETOWN_EX = 10, 15
end, other = socket.socketpair()
for name in ("decoy", "harness"):
    for sign in (1, -1):
        attempt(f"name {name} as the owner of a socket", lambda: fcntl.fcntl(end, fcntl.F_SETOWN, sign * targets[name]))
    attempt(f"name {name} by its kind", lambda: fcntl.fcntl(end, F_SETOWN_EX, (1).to_bytes(4, "little") + targets[name].to_bytes(4, "little")))
attempt("choose the signal", lambda: fcntl.fcntl(end, F_SETSIG, signal.SIGKILL))
try:
    fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)
except OSError:
    pass
other.send(b"now")
