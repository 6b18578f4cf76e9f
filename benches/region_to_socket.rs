//! Compares the CPU cost of two ways to send file regions to a plaintext socket: sendfile, or pread
//! and write through one buffer. Prints CPU seconds of the sending thread for each gigabyte, for
//! several buffer sizes. The file is in the page cache. A reader at the other end of loopback
//! discards the bytes.

use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;

const GIGABYTE: u64 = 1 << 30;
/// The default limit of a consumer's fetch from one partition.
const REGION: u64 = 1 << 20;

/// Sends all regions of a file.
type Way = Box<dyn Fn(&File, &mut TcpStream)>;

fn main() {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let block = vec![7u8; 1 << 20];
    for _ in 0..256 {
        file.write_all(&block).expect("room for 256 MB");
    }
    let ways: [(&str, Way); 5] = [
        ("sendfile", Box::new(sendfile)),
        ("pread+write 64 KB", Box::new(|file, socket| copy(file, socket, 64 << 10))),
        ("pread+write 128 KB", Box::new(|file, socket| copy(file, socket, 128 << 10))),
        ("pread+write 256 KB", Box::new(|file, socket| copy(file, socket, 256 << 10))),
        ("pread+write 1 MB", Box::new(|file, socket| copy(file, socket, 1 << 20))),
    ];
    for round in 1..=3 {
        for (name, way) in &ways {
            let mut socket = connected();
            let before = cpu_seconds();
            way(&file, &mut socket);
            println!("round {round}: {name}: {:.3} CPU s/GB", cpu_seconds() - before);
        }
    }
}

/// Returns a socket. A thread reads the other end to its end.
fn connected() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (mut reader, _) = listener.accept().expect("a connection");
    std::thread::spawn(move || {
        let mut sink = vec![0; 1 << 20];
        while reader.read(&mut sink).is_ok_and(|read| read > 0) {}
    });
    socket
}

fn regions() -> impl Iterator<Item = u64> {
    (0..GIGABYTE / REGION).map(|region| region * REGION % (256 << 20))
}

fn sendfile(file: &File, socket: &mut TcpStream) {
    for start in regions() {
        let (mut position, end) = (start, start + REGION);
        while position < end {
            let left = usize::try_from(end - position).expect("a megabyte");
            rustix::fs::sendfile(&*socket, file, Some(&mut position), left).expect("sendfile");
        }
    }
}

fn copy(file: &File, socket: &mut TcpStream, buffer: usize) {
    let mut buffer = vec![0; buffer];
    for start in regions() {
        for position in (start..start + REGION).step_by(buffer.len()) {
            file.read_exact_at(&mut buffer, position).expect("a read");
            socket.write_all(&buffer).expect("a write");
        }
    }
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
