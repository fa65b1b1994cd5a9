# To read one byte of each two megabytes costs no memory of the process but the tables of its addresses.
import mmap

reserved = []
try:
    while len(reserved) < 256:
        reserved.append(mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))
except (OSError, MemoryError, ValueError):
    pass
for chunk in reserved:
    for place in range(0, len(chunk), 2 << 20):
        chunk[place]
try:
    tables = next(int(it.split()[1]) >> 10 for it in open("/proc/self/status") if it.startswith("VmPTE"))
    print("WORKED: make" if tables > 256 else "made", tables, "MiB of tables")
except OSError:
    pass
if len(reserved) * 8 > 64:
    print("WORKED: reserve", len(reserved) * 8, "GiB")
