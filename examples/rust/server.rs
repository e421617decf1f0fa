// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	rustc server.rs
//	./server PORT		listens on a dual-stack AF_INET6 socket: peer_addr() says it all
//	./server PORT inet	listens on an AF_INET socket: getsockopt has the IPv6 clients

use std::env;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::raw::{c_int, c_void};
use std::os::unix::io::AsRawFd;

const IPPROTO_IP: c_int = 0;
const TOA_SO_GET_LOOKUP: c_int = 4096; // toa.h

#[repr(C)]
#[derive(Default)]
struct Nat64Peer {
    addr: [u8; 16],
    port: [u8; 2],
    padding: [u8; 2],
}

extern "C" {
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut u32) -> c_int;
}

/// The IPv6 client, which an AF_INET socket cannot show.
fn nat64_client(stream: &TcpStream) -> Option<SocketAddr> {
    let mut peer = Nat64Peer::default();
    let mut len = mem::size_of::<Nat64Peer>() as u32;
    let value = &mut peer as *mut Nat64Peer as *mut c_void;
    match unsafe { getsockopt(stream.as_raw_fd(), IPPROTO_IP, TOA_SO_GET_LOOKUP, value, &mut len) } {
        0 => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(peer.addr)), u16::from_be_bytes(peer.port))),
        _ => None,
    }
}

fn client_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    if let Some(addr) = nat64_client(stream) {
        return Ok(addr);
    }
    let addr = stream.peer_addr()?;
    if let IpAddr::V6(v6) = addr.ip() {
        if v6.octets()[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
            return Ok(SocketAddr::new(IpAddr::V4(v6.to_ipv4().unwrap()), addr.port()));
        }
    }
    Ok(addr)
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().collect();
    let port = args.get(1).map_or("8080", |port| port.as_str());
    let host = if args.get(2).map_or(false, |word| word == "inet") { "0.0.0.0" } else { "[::]" };
    for stream in TcpListener::bind(format!("{}:{}", host, port))?.incoming() {
        let mut stream = stream?;
        let client = client_of(&stream)?;
        println!("client {} port {}", client.ip(), client.port());
        let mut request = [0; 4096];
        if stream.read(&mut request)? > 0 {
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
    Ok(())
}
