#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A server that prints its real clients.

server.py PORT        listens on a dual-stack AF_INET6 socket
server.py PORT inet   listens on an AF_INET socket
"""
import errno
import socket
import sys
import time

TOA_SO_GET_PEER = 4097  # toa.h
PEER_INFO_SIZE = 60


def client_of(sock):
    try:
        info = sock.getsockopt(socket.IPPROTO_IP, TOA_SO_GET_PEER, PEER_INFO_SIZE)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise  # it is gone already
        # Without the module, the balancer is all there is.
        addr, port = sock.getpeername()[:2]
    else:
        # The client: a sockaddr_in or sockaddr_in6, as its family says.
        port = int.from_bytes(info[6:8], "big")
        if int.from_bytes(info[4:6], sys.byteorder) == socket.AF_INET:
            addr = socket.inet_ntop(socket.AF_INET, info[8:12])
        else:
            addr = socket.inet_ntop(socket.AF_INET6, info[12:28])
    return (addr[7:] if addr.startswith("::ffff:") else addr), port


def serve(sock):
    print("client %s port %d" % client_of(sock), flush=True)
    if sock.recv(4096):
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")


def listener(port, inet):
    sock = socket.socket(socket.AF_INET if inet else socket.AF_INET6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not inet:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("", port))
    sock.listen(128)
    return sock


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    server = listener(port, sys.argv[2:] == ["inet"])
    while True:
        # A client that is gone, or one too many, is no reason to end: the next one is served.
        try:
            client, _ = server.accept()
        except OSError as error:
            print("accept:", error, file=sys.stderr)
            if error.errno != errno.ECONNABORTED:
                time.sleep(1)
            continue
        with client:
            try:
                serve(client)
            except OSError as error:
                print("client:", error, file=sys.stderr)


main()
