//! Sends a reply. Bytes in memory are sent from where they are; file regions go through one buffer
//! of bounded size.
//!
//! A region in the page cache is read without blocking; any other is read on the blocking pool.
//! docs/decisions says why sendfile is not used.

use crate::api::Reply;
use crate::env::Env;
use bytes::{Buf, Bytes};
use protocol::FramePart;
use std::io::{self, IoSlice};
use std::time::Duration;
use storage::{FileRegion, Wait};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// The size of the buffer for file regions.
const REGION_BUFFER_BYTES: usize = 64 * 1024;

/// Sends a whole reply. Errors, each of which ends the connection: the socket failed; the peer
/// received nothing for as long as a connection may be idle; a region lost its bytes because the
/// log was truncated.
pub async fn reply<W: AsyncWrite + Unpin>(socket: &mut W, reply: Reply, idle: Duration, env: Env) -> io::Result<()> {
    let mut regions = reply.regions.into_iter();
    let mut pending: Vec<Bytes> = Vec::new();
    for part in reply.parts {
        match part {
            FramePart::Bytes(bytes) => pending.push(bytes),
            FramePart::Elsewhere { len } => {
                let region = regions.next().filter(|region| region.length == len);
                let region = region.ok_or_else(|| io::Error::other("a reply without the region that it announces"))?;
                send_region(socket, &mut pending, region, (idle, env)).await?;
            }
        }
    }
    write_all(socket, &mut pending, idle).await?;
    if reply.close {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(())
}

/// Sends the pending bytes and then a region, in as few writes as the buffer allows.
async fn send_region<W: AsyncWrite + Unpin>(
    socket: &mut W,
    pending: &mut Vec<Bytes>,
    region: FileRegion,
    (idle, env): (Duration, Env),
) -> io::Result<()> {
    let mut sent = 0;
    let mut buffer = Vec::new();
    while sent < region.length {
        let wanted = ((region.length - sent) as usize).min(REGION_BUFFER_BYTES);
        buffer = read(&region, sent, wanted, buffer, env).await?;
        let chunk = Bytes::from(std::mem::take(&mut buffer));
        sent += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        if !region.is_intact() {
            return Err(io::Error::other("the log was truncated below what was promised"));
        }
        pending.push(chunk.clone());
        write_all(socket, pending, idle).await?;
        // No one else holds the chunk, so its memory is reused for the next one.
        buffer = chunk.try_into_mut().map(Vec::from).unwrap_or_default();
    }
    Ok(())
}

/// Reads up to `wanted` bytes of a region: directly if the page cache has them, else on the
/// blocking pool.
async fn read(region: &FileRegion, at: u32, wanted: usize, mut buffer: Vec<u8>, env: Env) -> io::Result<Vec<u8>> {
    buffer.resize(wanted, 0);
    let read = match region.read_at(at, &mut buffer, Wait::Try) {
        Ok(read) if read > 0 => read,
        Ok(_) | Err(storage::Error::WouldBlock) => {
            let region = region.clone();
            let (waited, read) = env
                .run(move || {
                    let read = region.read_at(at, &mut buffer, Wait::Block);
                    (buffer, read)
                })
                .await?;
            buffer = waited;
            read.map_err(io::Error::other)?
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(read);
    Ok(buffer)
}

/// Sends all pieces of memory with gathered writes.
async fn write_all<W: AsyncWrite + Unpin>(socket: &mut W, pieces: &mut Vec<Bytes>, idle: Duration) -> io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let written = match &pieces[first..] {
            [one] => timeout(idle, socket.write(one)).await??,
            many => {
                let slices: Vec<IoSlice<'_>> = many.iter().take(64).map(|piece| IoSlice::new(piece)).collect();
                timeout(idle, socket.write_vectored(&slices)).await??
            }
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let mut left = written;
        while let Some(piece) = pieces.get_mut(first) {
            if left < piece.len() {
                piece.advance(left);
                break;
            }
            left -= piece.len();
            first += 1;
        }
    }
    pieces.clear();
    Ok(())
}
