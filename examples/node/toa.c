// SPDX-License-Identifier: GPL-2.0
/* toa.node: a function of a socket's number that asks with a getsockopt that Node does not know. */
#include <arpa/inet.h>
#include <errno.h>
#include <node_api.h>
#include <string.h>
#include <sys/socket.h>
#include "toa.h"

/* { address, port } of a client, or nothing, with an exception. */
static napi_value client(napi_env env, const union toa_peer_addr *addr)
{
	int inet = addr->v4.sin_family == AF_INET;
	char text[INET6_ADDRSTRLEN];
	napi_value object, address, port;

	inet_ntop(inet ? AF_INET : AF_INET6,
		  inet ? (const void *)&addr->v4.sin_addr : &addr->v6.sin6_addr, text, sizeof(text));
	if (napi_create_object(env, &object) != napi_ok ||
	    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &address) != napi_ok ||
	    napi_create_uint32(env, ntohs(addr->v4.sin_port), &port) != napi_ok ||
	    napi_set_named_property(env, object, "address", address) != napi_ok ||
	    napi_set_named_property(env, object, "port", port) != napi_ok)
		return NULL;
	return object;
}

static napi_value peer(napi_env env, napi_callback_info call)
{
	struct toa_peer_info info;
	socklen_t len = sizeof(info);
	size_t count = 1;
	napi_value arg;
	int32_t fd;

	if (napi_get_cb_info(env, call, &count, &arg, NULL, NULL) != napi_ok ||
	    napi_get_value_int32(env, arg, &fd) != napi_ok) {
		napi_throw_type_error(env, NULL, "the number of a socket is wanted");
		return NULL;
	}
	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0)
		return client(env, &info.client);
	/* Without the module, Node's own answer is all there is. */
	if (errno != ENOPROTOOPT)
		napi_throw_error(env, NULL, strerror(errno));
	return NULL;
}

NAPI_MODULE_INIT()
{
	napi_value function;

	if (napi_create_function(env, "peer", NAPI_AUTO_LENGTH, peer, NULL, &function) != napi_ok)
		return exports;
	return function;
}
