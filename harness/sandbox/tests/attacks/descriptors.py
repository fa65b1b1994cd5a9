import fcntl

inherited = []
for fd in range(3, 256):
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
        inherited.append(fd)
    except OSError:
        pass
if inherited:
    print("WORKED: inherited", inherited)
attempt("write to standard input", lambda: os.write(0, b"x"))
attempt("write to standard input's file", lambda: os.write(os.open("/proc/self/fd/0", os.O_RDWR), b"x"))
attempt("grow standard input's file", lambda: os.ftruncate(0, 1 << 30))
attempt("find a terminal", lambda: open("/dev/tty"))
