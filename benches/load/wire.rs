//! HTTP/2 as a generator of load needs it: calls that cost it a few microseconds.
//!
//! On a machine that the server shares, a client library would need more of it than a server that refuses. So a call is
//! a header block made once, and its message; of an answer only the frames are read. A call that has a message was
//! accepted, one that has only headers was refused: that is all that gRPC sends. What it was refused for is not decoded;
//! the server's metrics say that.

use std::{collections::HashMap, io, net::SocketAddr, time::Instant};

use anyhow::{Context as _, bail, ensure};
use prost::Message;
use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::TcpStream,
};

/// Calls in flight on a connection, unless the server takes fewer.
const CALLS_MAX: usize = 100;
/// RFC 9113, section 6.9.2: what may be sent before the other side takes more.
const WINDOW: i64 = 65_535;
/// What the server may send on a connection in all: some 8 million answers.
const ANSWERS_MAX: u32 = 1 << 30;
/// Bytes read at once.
const READ_MAX: usize = 16 * 1024;

// RFC 9113, section 6: types of frames, and flags.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// Section 6.5.2.
const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// A call that waits for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// When it should have been sent.
    pub(crate) planned: Instant,
    pub(crate) sent: Instant,
    /// Once it is answered: with a message.
    pub(crate) is_accepted: bool,
}

/// The method that a [`Wire`] calls.
const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";
/// Section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// The header block of every call, by RFC 7541.
    head: Vec<u8>,
    /// To be written, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// A frame's beginning.
    input: Vec<u8>,
    calls: HashMap<u32, Call>,
    calls_max: usize,
    next_stream: u32,
    window: i64,
}

impl Wire {
    /// Connects, to call `SubmitLead` with this token.
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut hello = PREFACE.to_vec();
        frame(&mut hello, SETTINGS, 0, 0, &[])?;
        frame(&mut hello, WINDOW_UPDATE, 0, 0, &ANSWERS_MAX.to_be_bytes())?;
        stream.write_all(&hello).await?;
        Ok(Self {
            stream,
            head: head(&address.to_string(), SUBMIT, token)?,
            output: Vec::new(),
            written: 0,
            input: Vec::new(),
            calls: HashMap::new(),
            calls_max: CALLS_MAX,
            next_stream: 1,
            window: WINDOW,
        })
    }

    /// Calls that wait for their answers.
    pub(crate) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether the server takes one more call now, of at most a kilobyte.
    pub(crate) fn is_free(&self) -> bool {
        self.calls.len() < self.calls_max && self.window >= 1024
    }

    /// Begins a call; [`Wire::flush`] sends it.
    pub(crate) fn call(&mut self, message: &impl Message, planned: Instant) -> anyhow::Result<()> {
        let stream = self.next_stream;
        self.next_stream += 2;
        frame(&mut self.output, HEADERS, END_HEADERS, stream, &self.head)?;
        let mut data = vec![0];
        data.extend(u32::try_from(message.encoded_len())?.to_be_bytes());
        message.encode(&mut data)?;
        self.window -= i64::try_from(data.len())?;
        frame(&mut self.output, DATA, END_STREAM, stream, &data)?;
        let call = Call {
            planned,
            sent: Instant::now(),
            is_accepted: false,
        };
        self.calls.insert(stream, call);
        Ok(())
    }

    /// Writes what the socket takes now.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        while self.written < self.output.len() {
            match self.stream.try_write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("the server cut the connection"),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what has come; hands each call over that was answered.
    pub(crate) fn read(&mut self, mut done: impl FnMut(Call)) -> anyhow::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        loop {
            let before = input.len();
            input.resize(before + READ_MAX, 0);
            let read = self.stream.try_read(&mut input[before..]);
            input.truncate(before + read.as_ref().map_or(0, |count| *count));
            match read {
                Ok(0) => bail!("the server ended the connection"),
                Ok(count) if count == READ_MAX => {}
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the server cut the connection"),
            }
        }
        let mut rest = input.as_slice();
        while let Some((head, tail)) = rest.split_first_chunk::<9>() {
            let [a, b, c, kind, flags, stream @ ..] = *head;
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
            let Some((payload, tail)) = tail.split_at_checked(length) else {
                break;
            };
            if let Some(call) = self.take(kind, flags, u32::from_be_bytes(stream), payload)? {
                done(call);
            }
            rest = tail;
        }
        let taken = input.len() - rest.len();
        input.drain(..taken);
        self.input = input;
        Ok(())
    }

    /// Takes a frame; gives the call that it ends.
    fn take(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> anyhow::Result<Option<Call>> {
        let number = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().context("a short frame")?;
            anyhow::Ok(u32::from_be_bytes(*bytes))
        };
        match kind {
            DATA => {
                if let Some(call) = self.calls.get_mut(&stream) {
                    call.is_accepted = true;
                }
            }
            HEADERS if flags & END_STREAM != 0 => return Ok(self.calls.remove(&stream)),
            // After the answer: what was sent of the message is not needed.
            RST_STREAM => ensure!(!self.calls.contains_key(&stream), "a call was reset"),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    let (name, value) = setting.split_at(2);
                    if name == MAX_CONCURRENT_STREAMS.to_be_bytes() {
                        self.calls_max = CALLS_MAX.min(usize::try_from(number(value)?)?);
                    }
                }
                frame(&mut self.output, SETTINGS, ACK, 0, &[])?;
            }
            PING if flags & ACK == 0 => frame(&mut self.output, PING, ACK, 0, payload)?,
            WINDOW_UPDATE if stream == 0 => self.window += i64::from(number(payload)?),
            GOAWAY => bail!("the server asked the connection to leave"),
            CONTINUATION => bail!("headers longer than a frame"),
            _ => {}
        }
        Ok(None)
    }

    /// Waits until something can be read, or what waits can be written.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let interest = if self.output.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.stream.ready(interest).await?;
        Ok(())
    }
}

/// Appends a frame.
pub(crate) fn frame(
    output: &mut Vec<u8>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> anyhow::Result<()> {
    let [_, length @ ..] = u32::try_from(payload.len())?.to_be_bytes();
    output.extend(length);
    output.extend([kind, flags]);
    output.extend(stream.to_be_bytes());
    output.extend(payload);
    Ok(())
}

/// The headers of a call. No field is put into the table of the connection, so every call has the same block.
pub(crate) fn head(authority: &str, path: &str, token: &str) -> anyhow::Result<Vec<u8>> {
    // Entries 3 and 6 of the static table: POST and http.
    let mut block = vec![0x83, 0x86];
    // Fields whose names are in that table, at this place.
    let token = format!("Bearer {token}");
    for (place, value) in [
        (1, authority),
        (4, path),
        (31, "application/grpc"),
        (58, "load"),
        (23, token.as_str()),
    ] {
        match u8::checked_sub(place, 15) {
            None => block.push(place),
            Some(more) => block.extend([15, more]),
        }
        text(&mut block, value)?;
    }
    block.push(0);
    text(&mut block, "te")?;
    text(&mut block, "trailers")?;
    Ok(block)
}

/// Appends a text. Its length fits into seven bits.
fn text(block: &mut Vec<u8>, value: &str) -> anyhow::Result<()> {
    ensure!(value.len() < 127, "a long header");
    block.push(u8::try_from(value.len())?);
    block.extend(value.as_bytes());
    Ok(())
}
