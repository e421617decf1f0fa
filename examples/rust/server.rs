// SPDX-License-Identifier: GPL-2.0
//
// A server that prints its real clients.
//
//	rustc server.rs
//	./server PORT		listens on a dual-stack AF_INET6 socket
//	./server PORT inet	listens on an AF_INET socket

use std::convert::TryInto;
use std::env;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::raw::{c_int, c_void};
use std::os::unix::io::AsRawFd;
use std::thread;
use std::time::Duration;

const AF_INET: u16 = 2;
const ENOPROTOOPT: i32 = 92;
const IPPROTO_IP: c_int = 0;
const TOA_SO_GET_PEER: c_int = 4097; // toa.h

/// As in toa.h: client and balancer are a sockaddr_in or sockaddr_in6, as their family says.
#[repr(C)]
#[derive(Default)]
struct PeerInfo {
    size: u16,
    kind: u8,
    segment: u8,
    client: [u8; 28],
    balancer: [u8; 28],
}

extern "C" {
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut u32) -> c_int;
}

fn address(raw: &[u8; 28]) -> SocketAddr {
    let port = u16::from_be_bytes([raw[2], raw[3]]);
    let ip = if u16::from_ne_bytes([raw[0], raw[1]]) == AF_INET {
        IpAddr::V4(Ipv4Addr::new(raw[4], raw[5], raw[6], raw[7]))
    } else {
        let octets: [u8; 16] = raw[8..24].try_into().unwrap();
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    SocketAddr::new(ip, port)
}

fn peer_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    let mut info = PeerInfo::default();
    let mut len = mem::size_of::<PeerInfo>() as u32;
    let value = &mut info as *mut PeerInfo as *mut c_void;
    if unsafe { getsockopt(stream.as_raw_fd(), IPPROTO_IP, TOA_SO_GET_PEER, value, &mut len) } == 0 {
        return Ok(address(&info.client));
    }
    match io::Error::last_os_error() {
        // Without the module, the balancer is all there is.
        error if error.raw_os_error() == Some(ENOPROTOOPT) => stream.peer_addr(),
        // It is gone already.
        error => Err(error),
    }
}

fn client_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    let addr = peer_of(stream)?;
    if let IpAddr::V6(v6) = addr.ip() {
        if v6.octets()[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
            return Ok(SocketAddr::new(IpAddr::V4(v6.to_ipv4().unwrap()), addr.port()));
        }
    }
    Ok(addr)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let client = client_of(&stream)?;
    println!("client {} port {}", client.ip(), client.port());
    let mut request = [0; 4096];
    if stream.read(&mut request)? > 0 {
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().collect();
    let port = args.get(1).map_or("8080", |port| port.as_str());
    let host = if args.get(2).map_or(false, |word| word == "inet") { "0.0.0.0" } else { "[::]" };
    for stream in TcpListener::bind(format!("{}:{}", host, port))?.incoming() {
        // A client that is gone, or one too many, is no reason to end: the next one is served.
        match stream {
            Ok(stream) => serve(stream).unwrap_or_else(|error| eprintln!("client: {}", error)),
            Err(error) => {
                eprintln!("accept: {}", error);
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }
    Ok(())
}
