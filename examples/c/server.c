// SPDX-License-Identifier: GPL-2.0
/*
 * A server that prints its real clients.
 *
 *	cc -I../.. -o server server.c
 *	./server PORT		listens on a dual-stack AF_INET6 socket: getpeername() says it all
 *	./server PORT inet	listens on an AF_INET socket: getsockopt() has the IPv6 clients
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "toa.h"

static void print(int family, const void *addr, in_port_t port)
{
	char text[INET6_ADDRSTRLEN];

	printf("client %s port %u\n", inet_ntop(family, addr, text, sizeof(text)), ntohs(port));
}

static void print_client(int fd)
{
	struct sockaddr_storage peer;
	const struct sockaddr_in6 *in6 = (const void *)&peer;
	const struct sockaddr_in *in = (const void *)&peer;
	struct toa_nat64_peer nat64;
	socklen_t len = sizeof(nat64);

	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &nat64, &len) == 0) {
		print(AF_INET6, &nat64.saddr, nat64.sport);
		return;
	}
	len = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &len))
		perror("getpeername");
	else if (peer.ss_family == AF_INET)
		print(AF_INET, &in->sin_addr, in->sin_port);
	else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		print(AF_INET, &in6->sin6_addr.s6_addr[12], in6->sin6_port);
	else
		print(AF_INET6, &in6->sin6_addr, in6->sin6_port);
}

static int listener(unsigned short port, int inet)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(inet ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	int on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!inet)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, inet ? (void *)&in : (void *)&in6, inet ? sizeof(in) : sizeof(in6)) ||
	    listen(fd, 128)) {
		perror("listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
	int inet = argc > 2 && strcmp(argv[2], "inet") == 0;
	int fd = listener(argc > 1 ? atoi(argv[1]) : 8080, inet), client;
	char request[4096];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		print_client(client);
		if (read(client, request, sizeof(request)) > 0 &&
		    write(client, answer, sizeof(answer) - 1) < 0)
			perror("write");
		close(client);
	}
	perror("accept");
	return 1;
}
