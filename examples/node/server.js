// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	node server.js PORT
//
// Node cannot ask getsockopt for a number that it does not know, and need not: listening on '::', as
// it does by itself, is a dual-stack AF_INET6 socket, which shows IPv4 and IPv6 clients.

'use strict';

const net = require('net');

const server = net.createServer((socket) => {
  const address = socket.remoteAddress.replace(/^::ffff:/, '');
  console.log(`client ${address} port ${socket.remotePort}`);
  socket.once('data', () => {
    socket.end('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n');
  });
  socket.on('error', () => socket.destroy());
});

server.listen(Number(process.argv[2] || 8080), '::');
