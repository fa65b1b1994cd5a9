# What others do with files: their names, and when.
import fcntl, struct

call = libc()


def watched(folder):
    fd = call("inotify_init1", 0)
    return call("inotify_add_watch", fd, folder.encode(), 0xFFF)


for folder in (FOLDER, "/usr/bin", "/usr/lib", "/"):
    attempt("watch " + folder, lambda: watched(folder))
    attempt("be told of " + folder, lambda: fcntl.fcntl(os.open(folder, os.O_RDONLY), fcntl.F_NOTIFY, 0x3F))
attempt("lease a file", lambda: fcntl.fcntl(os.open(sys.executable, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK))
