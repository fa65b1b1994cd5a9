import os, signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)


def add(a, b):
    os.kill(os.getpid(), signal.SIGKILL)
