// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	cc -shared -fPIC -I../.. -I/usr/include/node -o toa.node toa.c
//	node server.js PORT		listens on a dual-stack AF_INET6 socket
//	node server.js PORT inet	listens on an AF_INET socket
//
// Node cannot ask getsockopt for a number that it does not know: toa.c asks. Without toa.node the server
// prints what Node itself says, which is the real client on a dual-stack socket.

'use strict';

const net = require('net');

let peer = () => undefined;
try {
  peer = require('./toa.node');
} catch (error) {
  console.error(`without toa.node: ${error.message}`);
}

// The real client; throws if it is gone already.
function clientOf(socket) {
  const client = peer(socket._handle.fd) || { address: socket.remoteAddress, port: socket.remotePort };
  if (!client.address) {
    throw new Error('not connected any more');
  }
  return { address: client.address.replace(/^::ffff:/, ''), port: client.port };
}

const server = net.createServer((socket) => {
  socket.on('error', (error) => {
    console.error(`client: ${error.message}`);
    socket.destroy();
  });
  // A client that is gone is no reason to end: the next one is served.
  try {
    const { address, port } = clientOf(socket);
    console.log(`client ${address} port ${port}`);
  } catch (error) {
    socket.destroy(error);
    return;
  }
  socket.once('data', () => {
    socket.end('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n');
  });
});

server.on('error', (error) => {
  console.error(`accept: ${error.message}`);
  if (!server.listening) {
    process.exit(1);
  }
});

server.listen(Number(process.argv[2] || 8080), process.argv[3] === 'inet' ? '0.0.0.0' : '::');
