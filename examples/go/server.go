// SPDX-License-Identifier: GPL-2.0

// A server that prints its real clients.
//
//	go build server.go
//	./server PORT		listens dual-stack, as Go does by itself
//	./server PORT inet	listens on an AF_INET socket
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const toaSoGetPeer = 4097 // toa.h

// As struct toa_peer_info of toa.h.
type peerInfo struct {
	size          uint16
	kind, segment uint8
	client        syscall.RawSockaddrInet6
	balancer      syscall.RawSockaddrInet6
}

// address is that of a sockaddr_in or sockaddr_in6, as its family says.
func address(raw *syscall.RawSockaddrInet6) *net.TCPAddr {
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	addr := &net.TCPAddr{Port: int(port[0])<<8 | int(port[1])}
	if raw.Family == syscall.AF_INET {
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(raw))
		addr.IP = net.IP(in.Addr[:])
	} else {
		addr.IP = net.IP(raw.Addr[:])
	}
	return addr
}

// clientOf asks for the real client; without the module, the balancer is all there is.
func clientOf(conn *net.TCPConn) (net.Addr, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var info peerInfo
	var errno syscall.Errno
	size := uint32(unsafe.Sizeof(info))
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_IP, toaSoGetPeer,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	switch {
	case err != nil:
		return nil, err
	case errno == syscall.ENOPROTOOPT:
		return conn.RemoteAddr(), nil
	case errno != 0:
		return nil, errno // It is gone already.
	}
	return address(&info.client), nil
}

func serve(conn *net.TCPConn) error {
	defer conn.Close()
	addr, err := clientOf(conn)
	if err != nil {
		return err
	}
	client, ok := addr.(*net.TCPAddr)
	if !ok {
		return syscall.ENOTCONN
	}
	fmt.Printf("client %s port %d\n", client.IP, client.Port)
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		return err
	}
	_, err = conn.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
	return err
}

func main() {
	network, port := "tcp", "8080"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	if len(os.Args) > 2 && os.Args[2] == "inet" {
		network = "tcp4"
	}
	listener, err := net.Listen(network, ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			// There are too many: the next one is served. Who is gone is passed over by Go itself.
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(time.Second)
			continue
		}
		go func() {
			if err := serve(conn.(*net.TCPConn)); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
}
