// SPDX-License-Identifier: GPL-2.0
/* Server.peerInfo(): asks with a getsockopt that Java does not know. */
#include <errno.h>
#include <jni.h>
#include <string.h>
#include <sys/socket.h>
#include "toa.h"

JNIEXPORT jbyteArray JNICALL Java_Server_peerInfo(JNIEnv *env, jclass server, jobject channel)
{
	jmethodID get_fd = (*env)->GetMethodID(env, (*env)->GetObjectClass(env, channel),
					       "getFDVal", "()I");
	struct toa_peer_info info;
	socklen_t len = sizeof(info);
	jbyteArray bytes;
	jint fd;

	(void)server;
	if (!get_fd)
		return NULL;
	fd = (*env)->CallIntMethod(env, channel, get_fd);
	if ((*env)->ExceptionCheck(env))
		return NULL;
	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len)) {
		/* Without the module, Java's own answer is all there is. */
		if (errno != ENOPROTOOPT)
			(*env)->ThrowNew(env, (*env)->FindClass(env, "java/net/SocketException"),
					 strerror(errno));
		return NULL;
	}
	bytes = (*env)->NewByteArray(env, sizeof(info));
	if (bytes)
		(*env)->SetByteArrayRegion(env, bytes, 0, sizeof(info), (const jbyte *)&info);
	return bytes;
}
