// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	javac Server.java
//	java Server PORT
//
// Java cannot ask getsockopt for a number that it does not know, and need not: its listeners are
// dual-stack AF_INET6 sockets, which show IPv4 and IPv6 clients. (Unless java.net.preferIPv4Stack is
// set: leave it alone.)

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

public class Server {
    private static void serve(Socket socket) throws IOException {
        try (Socket client = socket) {
            InetSocketAddress peer = (InetSocketAddress) client.getRemoteSocketAddress();
            System.out.println("client " + peer.getAddress().getHostAddress() + " port " + peer.getPort());
            if (client.getInputStream().read(new byte[4096]) > 0) {
                client.getOutputStream().write("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
                        .getBytes(StandardCharsets.US_ASCII));
            }
        }
    }

    public static void main(String[] args) throws IOException {
        try (ServerSocket server = new ServerSocket(args.length > 0 ? Integer.parseInt(args[0]) : 8080)) {
            while (true) {
                serve(server.accept());
            }
        }
    }
}
