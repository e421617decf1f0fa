// SPDX-License-Identifier: GPL-2.0
/*
 * A server that prints its real clients.
 *
 *	cc -I../.. -o server server.c
 *	./server PORT		listens on a dual-stack AF_INET6 socket
 *	./server PORT inet	listens on an AF_INET socket
 */
#include <arpa/inet.h>
#include <errno.h>
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

/* False, with errno, if the client is gone already. */
static int print_client(int fd)
{
	struct toa_peer_info info;
	const struct sockaddr_in6 *in6 = &info.client.v6;
	const struct sockaddr_in *in = &info.client.v4;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len)) {
		/* Without the module, the balancer is all there is. */
		len = sizeof(info.client);
		if (getpeername(fd, (struct sockaddr *)&info.client, &len))
			return 0;
	}
	if (in->sin_family == AF_INET)
		print(AF_INET, &in->sin_addr, in->sin_port);
	else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		print(AF_INET, &in6->sin6_addr.s6_addr[12], in6->sin6_port);
	else
		print(AF_INET6, &in6->sin6_addr, in6->sin6_port);
	return 1;
}

static void serve(int fd)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
	char request[4096];

	/* Who resets the connection now is no reason to end: no SIGPIPE. */
	if (!print_client(fd) || read(fd, request, sizeof(request)) < 0 ||
	    send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		perror("client");
	close(fd);
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
	int inet = argc > 2 && strcmp(argv[2], "inet") == 0;
	int fd = listener(argc > 1 ? atoi(argv[1]) : 8080, inet);

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0) {
			serve(client);
			continue;
		}
		/* The client is gone, or there are too many of them: the next one is served. */
		perror("accept");
		if (errno != ECONNABORTED)
			sleep(1);
	}
}
