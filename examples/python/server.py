#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A server that prints its real clients.

server.py PORT        listens on a dual-stack AF_INET6 socket: getpeername() says it all
server.py PORT inet   listens on an AF_INET socket: getsockopt() has the IPv6 clients
"""
import socket
import sys

TOA_SO_GET_LOOKUP = 4096  # toa.h


def client_of(sock):
    try:
        peer = sock.getsockopt(socket.IPPROTO_IP, TOA_SO_GET_LOOKUP, 20)
        return socket.inet_ntop(socket.AF_INET6, peer[:16]), int.from_bytes(peer[16:18], "big")
    except OSError:  # no IPv6 client, or no module
        addr, port = sock.getpeername()[:2]
        return (addr[7:] if addr.startswith("::ffff:") else addr), port


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
        client, _ = server.accept()
        with client:
            print("client %s port %d" % client_of(client), flush=True)
            if client.recv(4096):
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")


main()
