# Put before every attack. `attempt` says WORKED for what a contained program must not be able to do.
import json, os, sys

targets = json.load(open("targets.json"))
TOKEN, SECRET, FOLDER = targets["token"], targets["secret"], targets["folder"]


def attempt(name, action):
    try:
        found = action()
    except BaseException as error:
        print("contained:", name, repr(error)[:120], flush=True)
    else:
        print("WORKED:", name, repr(found)[:120], flush=True)


def libc():
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        result = getattr(library, name)(*arguments)
        if result == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    return call
