//! Request and response headers, and the frames of metadata records.

use crate::codec::{DecodeError, EncodeError, Message, Reader, Writer};
use crate::messages::request_header::RequestHeader;
use crate::{ApiKey, MetadataRecord, Str};
use bytes::Bytes;

/// The frame version of a metadata record.
const RECORD_FRAME_VERSION: u32 = 1;

impl ApiKey {
    /// Returns the version of a request's header: 2 if the request is flexible.
    pub fn request_header_version(self, version: i16) -> i16 {
        if version >= self.first_flexible_request() { 2 } else { 1 }
    }

    /// Returns the version of a response's header: 1 if the response is flexible. It is always 0
    /// for ApiVersions, because a client that knows none of its versions must be able to read the
    /// answer (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != ApiKey::ApiVersions && version >= self.first_flexible_response())
    }
}

/// The fixed part of a request's header. It can be read before the key and version are known to be
/// served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The API key's number.
    pub api_key: i16,
    /// The API version.
    pub api_version: i16,
    /// The number that the response must carry.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Reads the first eight bytes of a request.
    pub fn peek(frame: &Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame.clone());
        Ok(Self { api_key: r.i16()?, api_version: r.i16()?, correlation_id: r.i32()? })
    }
}

/// The client id in a request's header, which is in the same place in every version. Errors: the
/// frame ends before.
pub fn peek_client_id(frame: &Bytes) -> Result<Option<Str>, DecodeError> {
    Ok(RequestHeader::decode(&mut Reader::new(frame.clone()), 1)?.client_id)
}

/// Reads a request's header and leaves the reader at its body.
pub fn read_request_header(r: &mut Reader, key: ApiKey, version: i16) -> Result<RequestHeader, DecodeError> {
    RequestHeader::decode(r, key.request_header_version(version))
}

/// Writes a whole request frame: length, header, body.
pub fn write_request<M: Message>(header: &RequestHeader, request: &M) -> Result<Writer, EncodeError> {
    let version = header.request_api_version;
    let key = ApiKey::from_code(M::KEY).ok_or(EncodeError::Version(M::NAME, version))?;
    let mut w = Writer::new();
    w.i32(0);
    header.encode(&mut w, key.request_header_version(version))?;
    request.encode(&mut w, version)?;
    seal(w)
}

/// Writes a whole response frame: length, header, body.
pub fn write_response<M: Message>(correlation_id: i32, version: i16, response: &M) -> Result<Writer, EncodeError> {
    let key = ApiKey::from_code(M::KEY).ok_or(EncodeError::Version(M::NAME, version))?;
    let mut w = Writer::with_capacity(256);
    w.i32(0);
    w.i32(correlation_id);
    if key.response_header_version(version) == 1 {
        w.unsigned_varint(0);
    }
    response.encode(&mut w, version)?;
    seal(w)
}

/// Fills in the frame's length.
fn seal(mut w: Writer) -> Result<Writer, EncodeError> {
    let len = i32::try_from(w.len() - 4).map_err(|_| EncodeError::TooLong(w.len()))?;
    w.patch_i32(0, len);
    Ok(w)
}

impl MetadataRecord {
    /// Reads the value of a record of the metadata log: frame version, type, version, body. Errors:
    /// a frame version other than 1, an unknown type or version, bytes after the record.
    pub fn decode(value: Bytes) -> Result<(Self, i16), DecodeError> {
        let mut r = Reader::new(value);
        let frame = r.unsigned_varint()?;
        if frame != RECORD_FRAME_VERSION {
            return Err(DecodeError::FrameVersion(frame));
        }
        let kind = small(r.unsigned_varint()?)?;
        let version = small(r.unsigned_varint()?)?;
        let record = Self::read(&mut r, kind, version)?;
        r.finish()?;
        Ok((record, version))
    }

    /// Writes the value of a record of the metadata log, in a version of its type.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        w.unsigned_varint(RECORD_FRAME_VERSION);
        w.unsigned_varint(self.key().cast_unsigned().into());
        w.unsigned_varint(version.cast_unsigned().into());
        self.write(&mut w, version)?;
        w.into_bytes()
    }
}

fn small(value: u32) -> Result<i16, DecodeError> {
    i16::try_from(value).map_err(|_| DecodeError::Length(value.into(), 0))
}
