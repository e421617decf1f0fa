// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	javac Server.java
//	cc -shared -fPIC -I../.. -I$JAVA_HOME/include -I$JAVA_HOME/include/linux -o libtoa.so toa.c
//	java -Djava.library.path=. Server PORT		listens on a dual-stack AF_INET6 socket
//	java -Djava.library.path=. Server PORT inet	listens on an AF_INET socket
//
// Java cannot ask getsockopt for a number that it does not know: toa.c asks. Without libtoa.so the server
// prints what Java itself says, which is the real client on a dual-stack socket.

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

public class Server {
    private static final int AF_INET = 2;
    private static boolean haveLibrary = true;

    /** The struct toa_peer_info of toa.h, or null without the module; throws if the client is gone. */
    private static native byte[] peerInfo(SocketChannel channel) throws IOException;

    private static InetSocketAddress clientOf(SocketChannel channel) throws IOException {
        byte[] info = haveLibrary ? peerInfo(channel) : null;
        if (info == null) {
            return (InetSocketAddress) channel.getRemoteAddress();
        }
        // The client: a sockaddr_in or sockaddr_in6, as its family says.
        boolean inet = ByteBuffer.wrap(info).order(ByteOrder.nativeOrder()).getShort(4) == AF_INET;
        byte[] addr = inet ? Arrays.copyOfRange(info, 8, 12) : Arrays.copyOfRange(info, 12, 28);
        int port = ByteBuffer.wrap(info).getShort(6) & 0xffff;
        return new InetSocketAddress(InetAddress.getByAddress(addr), port);
    }

    private static void serve(SocketChannel channel) throws IOException {
        InetSocketAddress client = clientOf(channel);
        System.out.println("client " + client.getAddress().getHostAddress() + " port " + client.getPort());
        if (channel.read(ByteBuffer.allocate(4096)) > 0) {
            channel.write(ByteBuffer.wrap("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
                    .getBytes(StandardCharsets.US_ASCII)));
        }
    }

    private static ServerSocketChannel listener(int port, boolean inet) throws IOException {
        ServerSocketChannel server = inet ? ServerSocketChannel.open(StandardProtocolFamily.INET)
                : ServerSocketChannel.open();
        return server.bind(new InetSocketAddress(port), 128);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        try {
            System.loadLibrary("toa");
        } catch (UnsatisfiedLinkError e) {
            haveLibrary = false;
        }
        boolean inet = args.length > 1 && args[1].equals("inet");
        try (ServerSocketChannel server = listener(args.length > 0 ? Integer.parseInt(args[0]) : 8080, inet)) {
            while (true) {
                // A client that is gone, or one too many, is no reason to end: the next one is served.
                SocketChannel accepted;
                try {
                    accepted = server.accept();
                } catch (IOException e) {
                    System.err.println("accept: " + e);
                    Thread.sleep(100);
                    continue;
                }
                try (SocketChannel channel = accepted) {
                    serve(channel);
                } catch (IOException e) {
                    System.err.println("client: " + e);
                }
            }
        }
    }
}
