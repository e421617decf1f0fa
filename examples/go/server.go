// SPDX-License-Identifier: GPL-2.0

// A server that prints its real clients.
//
//	go build server.go
//	./server PORT		listens dual-stack, as Go does by itself: RemoteAddr() says it all
//	./server PORT inet	listens on an AF_INET socket: getsockopt has the IPv6 clients
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"
)

const toaSoGetLookup = 4096 // toa.h

type nat64Peer struct {
	addr    [16]byte
	port    [2]byte
	padding [2]byte
}

// nat64Client asks for the IPv6 client, which an AF_INET socket cannot show.
func nat64Client(conn *net.TCPConn) *net.TCPAddr {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	var peer nat64Peer
	var errno syscall.Errno
	size := uint32(unsafe.Sizeof(peer))
	raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_IP, toaSoGetLookup,
			uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if errno != 0 {
		return nil
	}
	return &net.TCPAddr{IP: net.IP(peer.addr[:]), Port: int(peer.port[0])<<8 | int(peer.port[1])}
}

func serve(conn *net.TCPConn) {
	defer conn.Close()
	// Accept has asked for the peer already: this is what the module said.
	client := conn.RemoteAddr().(*net.TCPAddr)
	if nat64 := nat64Client(conn); nat64 != nil {
		client = nat64
	}
	fmt.Printf("client %s port %d\n", client.IP, client.Port)
	request := make([]byte, 4096)
	if n, _ := conn.Read(request); n > 0 {
		conn.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
	}
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
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go serve(conn.(*net.TCPConn))
	}
}
