// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	c++ -std=c++11 -I../.. -o server server.cpp
//	./server PORT		listens on a dual-stack AF_INET6 socket: getpeername() says it all
//	./server PORT inet	listens on an AF_INET socket: getsockopt() has the IPv6 clients

#include <arpa/inet.h>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include "toa.h"

static std::string text(int family, const void *addr, in_port_t port)
{
	char buf[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, buf, sizeof(buf));
	return std::string(buf) + " port " + std::to_string(ntohs(port));
}

static std::string client_of(int fd)
{
	toa_nat64_peer nat64;
	socklen_t len = sizeof(nat64);
	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &nat64, &len) == 0)
		return text(AF_INET6, &nat64.saddr, nat64.sport);

	sockaddr_storage peer;
	len = sizeof(peer);
	if (getpeername(fd, reinterpret_cast<sockaddr *>(&peer), &len))
		return std::strerror(errno);
	if (peer.ss_family == AF_INET) {
		auto in = reinterpret_cast<sockaddr_in *>(&peer);
		return text(AF_INET, &in->sin_addr, in->sin_port);
	}
	auto in6 = reinterpret_cast<sockaddr_in6 *>(&peer);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return text(AF_INET, &in6->sin6_addr.s6_addr[12], in6->sin6_port);
	return text(AF_INET6, &in6->sin6_addr, in6->sin6_port);
}

template <typename Address> static void start(int fd, const Address &addr)
{
	if (bind(fd, reinterpret_cast<const sockaddr *>(&addr), sizeof(addr)) || listen(fd, 128))
		throw std::runtime_error(std::string("listen: ") + std::strerror(errno));
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
	const std::string answer = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
	int fd = listener(argc > 1 ? std::stoi(argv[1]) : 8080,
			  argc > 2 && std::string(argv[2]) == "inet");
	char request[4096];

	for (int client; (client = accept(fd, nullptr, nullptr)) >= 0; close(client)) {
		std::cout << "client " << client_of(client) << std::endl;
		if (read(client, request, sizeof(request)) > 0 &&
		    write(client, answer.data(), answer.size()) < 0)
			std::cerr << "write: " << std::strerror(errno) << std::endl;
	}
	return 1;
}
