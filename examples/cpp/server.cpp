// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	c++ -std=c++11 -I../.. -o server server.cpp
//	./server PORT		listens on a dual-stack AF_INET6 socket
//	./server PORT inet	listens on an AF_INET socket

#include <arpa/inet.h>
#include <cerrno>
#include <iostream>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include "toa.h"

static std::system_error error(const char *what)
{
	return std::system_error(errno, std::generic_category(), what);
}

static std::string text(int family, const void *addr, in_port_t port)
{
	char buf[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, buf, sizeof(buf));
	return std::string(buf) + " port " + std::to_string(ntohs(port));
}

static std::string client_of(int fd)
{
	toa_peer_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len)) {
		// Without the module, the balancer is all there is.
		len = sizeof(info.client);
		if (getpeername(fd, reinterpret_cast<sockaddr *>(&info.client), &len))
			throw error("getpeername");
	}
	const sockaddr_in &in = info.client.v4;
	const sockaddr_in6 &in6 = info.client.v6;
	if (in.sin_family == AF_INET)
		return text(AF_INET, &in.sin_addr, in.sin_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return text(AF_INET, &in6.sin6_addr.s6_addr[12], in6.sin6_port);
	return text(AF_INET6, &in6.sin6_addr, in6.sin6_port);
}

static void serve(int fd)
{
	const std::string answer = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
	const std::string client = client_of(fd);
	char request[4096];

	std::cout << "client " << client << std::endl;
	// Who resets the connection now is no reason to end: no SIGPIPE.
	if (read(fd, request, sizeof(request)) < 0 ||
	    send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0)
		throw error("client");
}

template <typename Address> static void start(int fd, const Address &addr)
{
	if (bind(fd, reinterpret_cast<const sockaddr *>(&addr), sizeof(addr)) || listen(fd, 128))
		throw error("listen");
}

static int listener(unsigned short port, bool inet)
{
	int fd = socket(inet ? AF_INET : AF_INET6, SOCK_STREAM, 0), on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (inet) {
		sockaddr_in addr = {};
		addr.sin_family = AF_INET;
		addr.sin_port = htons(port);
		start(fd, addr);
	} else {
		sockaddr_in6 addr = {};
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		addr.sin6_family = AF_INET6;
		addr.sin6_port = htons(port);
		start(fd, addr);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int fd = listener(argc > 1 ? std::stoi(argv[1]) : 8080,
			  argc > 2 && std::string(argv[2]) == "inet");

	for (;;) {
		int client = accept(fd, nullptr, nullptr);
		try {
			if (client < 0)
				throw error("accept");
			serve(client);
		} catch (const std::system_error &e) {
			// The client is gone, or there are too many: the next one is served.
			std::cerr << e.what() << std::endl;
			if (client < 0 && e.code().value() != ECONNABORTED)
				sleep(1);
		}
		if (client >= 0)
			close(client);
	}
}
