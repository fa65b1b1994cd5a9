# The calls of 32-bit programs, by an interrupt, have numbers that a filter by number takes for others.
import ctypes, mmap

if os.uname().machine == "x86_64":
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # mov eax, 20 (getpid); int 0x80; ret
    code.write(bytes.fromhex("b814000000cd80c3"))
    got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    print("WORKED: call by an interrupt", got)
