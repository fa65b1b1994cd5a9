import socket


def connect(family, address, kind=socket.SOCK_STREAM):
    end = socket.socket(family, kind)
    end.settimeout(1)
    end.connect(address)
    end.send(b"escaped")


def listen():
    end = socket.socket()
    end.bind(("127.0.0.1", 0))
    end.listen()


def by_pair(address, kind=socket.SOCK_DGRAM):
    # A pair of sockets needs no `socket`; one for datagrams could send anywhere.
    end, _ = socket.socketpair(socket.AF_UNIX, kind)
    if kind == socket.SOCK_DGRAM:
        end.sendto(b"escaped", address)
    else:
        end.connect(address)


attempt("connect by TCP", lambda: connect(socket.AF_INET, ("127.0.0.1", targets["tcp"])))
attempt("connect by IPv6", lambda: connect(socket.AF_INET6, ("::1", targets["tcp"])))
attempt("send by UDP", lambda: connect(socket.AF_INET, ("127.0.0.1", targets["udp"]), socket.SOCK_DGRAM))
attempt("listen", listen)
attempt("connect to a named socket", lambda: connect(socket.AF_UNIX, targets["socket"]))
attempt("connect to an abstract socket", lambda: connect(socket.AF_UNIX, "\0" + targets["abstract"]))
attempt("send to a socket by a pair", lambda: by_pair(targets["socket"]))
attempt("send to an abstract socket by a pair", lambda: by_pair("\0" + targets["abstract"]))
attempt("connect a pair anew", lambda: by_pair(targets["socket"], socket.SOCK_STREAM))
attempt("connect a pair of packets anew", lambda: by_pair(targets["socket"], socket.SOCK_SEQPACKET))
attempt("talk to the kernel's network", lambda: socket.socket(16, 3, 0).bind((0, 0)))
attempt("talk to the machine below", lambda: socket.socket(40, socket.SOCK_STREAM, 0))
attempt("send packets", lambda: socket.socket(17, 3, 0))
attempt("look a name up", lambda: socket.create_connection(("example.com", 80), 1))
