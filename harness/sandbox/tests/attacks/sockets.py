# A pair of sockets is allowed. What can be asked of one, and set, is not only about the pair.
import socket, struct

end, other = socket.socketpair()
instructions = bytearray(struct.pack("HBBI", 0x06, 0, 0, 0xFFFF))
try:
    import ctypes

    buffer = (ctypes.c_char * len(instructions)).from_buffer(instructions)
    program = struct.pack("HL", 1, ctypes.addressof(buffer))
except ImportError:
    program = b"\0" * 16
attempt("attach a filter to a socket", lambda: end.setsockopt(socket.SOL_SOCKET, 26, program))
attempt("grow a socket", lambda: end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30))
attempt("hold the process at the other end", lambda: end.getsockopt(socket.SOL_SOCKET, 77))
attempt("name the process at the other end", lambda: end.getsockopt(socket.SOL_SOCKET, 17, 12))
attempt("get a filter", lambda: end.getsockopt(socket.SOL_SOCKET, 26, 64))
if end.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM:
    print("it is a stream")
