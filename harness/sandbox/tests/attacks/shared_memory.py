# Memory that the limit of private memory does not count.
import mmap

call = libc()
SHARED, PRIVATE, ANONYMOUS, GROWS_DOWN, HUGE = 1, 2, 0x20, 0x100, 0x40000


def mapped(flags, access=mmap.PROT_READ | mmap.PROT_WRITE, fd=-1, size=2 << 30):
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    start = library.mmap(None, size, access, flags, fd, 0)
    if start == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"{size >> 20} MiB at {start:#x}"


attempt("share memory by a device", lambda: mapped(SHARED, fd=os.open("/dev/zero", os.O_RDWR)))
attempt("share memory by a device that is read", lambda: mapped(SHARED, mmap.PROT_READ, os.open("/dev/zero", os.O_RDONLY)))
attempt("share memory", lambda: mapped(SHARED | ANONYMOUS))
attempt("map a stack that grows", lambda: mapped(PRIVATE | ANONYMOUS | GROWS_DOWN))
attempt("map huge pages", lambda: mapped(PRIVATE | ANONYMOUS | HUGE, size=2 << 20))
attempt("map the input", lambda: mapped(SHARED, fd=0))
attempt("reserve addresses without end", lambda: mapped(PRIVATE | ANONYMOUS, mmap.PROT_READ, size=1 << 40))
