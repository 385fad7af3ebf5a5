//! What a peer has begun to send and not finished. It reads along what passes and keeps nothing.
//!
//! The rule: it knows where a thing begins and where it ends, and no more. What the bytes mean, and whether they are
//! allowed, is for hyper and h2. Over HTTP/1.1 only the first head is followed; later ones are hyper's to time.

/// What a client of HTTP/2 says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What stands before a frame: length, type, flags, stream.
const FRAME_HEAD: usize = 9;
/// Types of frames.
const HEADERS: u8 = 0x1;
const PUSH_PROMISE: u8 = 0x5;
const CONTINUATION: u8 = 0x9;
/// Data, headers and their continuation, resets, windows, goodbyes: what calls need, and what h2 bounds.
const OF_CALLS: [u8; 6] = [0x0, HEADERS, 0x3, 0x7, 0x8, CONTINUATION];
/// Flags.
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Where in the protocol a peer is.
#[derive(Debug)]
pub(super) enum Reading {
    /// So many bytes of HTTP/2's preface came, and nothing else.
    Preface(usize),
    /// In the first head of HTTP/1.1: so many of its line ends in a row.
    Head(u8),
    Frames(Frames),
    /// HTTP/1.1, after the first head.
    Free,
}

/// Frames of HTTP/2.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; FRAME_HEAD],
    head_len: usize,
    /// Of the frame's payload.
    left: usize,
    /// Its header block goes on in the next frame.
    in_block: bool,
    /// The first frame's head was seen.
    has_begun: bool,
}

/// What a piece of bytes did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// A point was passed at which nothing was half sent.
    pub(super) settled: bool,
    /// Frames that ask for an answer and belong to no call: pings, settings, and what nobody uses.
    pub(super) idle_frames: u32,
}

impl Reading {
    pub(super) const fn new() -> Self {
        Self::Preface(0)
    }

    /// Whether something was begun and not finished, the connection itself included.
    pub(super) fn is_owed(&self) -> bool {
        match self {
            Self::Preface(_) | Self::Head(_) => true,
            Self::Frames(frames) => !frames.is_between(),
            Self::Free => false,
        }
    }

    /// Reads along.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Read {
        let mut read = Read::default();
        while !bytes.is_empty() {
            match self {
                Self::Preface(seen) => {
                    let common = bytes
                        .iter()
                        .zip(&PREFACE[*seen..])
                        .take_while(|(sent, said)| sent == said)
                        .count();
                    *seen += common;
                    bytes = &bytes[common..];
                    if *seen == PREFACE.len() {
                        *self = Self::Frames(Frames::default());
                    } else if !bytes.is_empty() {
                        // HTTP/1.1: the head gets a time of its own. No part of the preface ends one.
                        *self = Self::Head(0);
                        read.settled = true;
                    }
                }
                Self::Head(ends) => {
                    match bytes[0] {
                        b'\n' => *ends += 1,
                        b'\r' => {}
                        _ => *ends = 0,
                    }
                    bytes = &bytes[1..];
                    if *ends == 2 {
                        *self = Self::Free;
                    }
                }
                Self::Frames(frames) => bytes = frames.take(bytes, &mut read),
                Self::Free => break,
            }
        }
        read
    }
}

impl Frames {
    fn is_between(&self) -> bool {
        self.has_begun && self.head_len == 0 && self.left == 0 && !self.in_block
    }

    /// Takes from the bytes what belongs to one frame's head or payload; gives what is left.
    fn take<'b>(&mut self, bytes: &'b [u8], read: &mut Read) -> &'b [u8] {
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            read.settled |= self.is_between();
            return &bytes[taken..];
        }
        let taken = (FRAME_HEAD - self.head_len).min(bytes.len());
        self.head[self.head_len..][..taken].copy_from_slice(&bytes[..taken]);
        self.head_len += taken;
        if self.head_len == FRAME_HEAD {
            self.head_len = 0;
            self.begin(read);
        }
        &bytes[taken..]
    }

    fn begin(&mut self, read: &mut Read) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            HEADERS | PUSH_PROMISE | CONTINUATION => self.in_block = flags & END_HEADERS == 0,
            _ => {}
        }
        // The first of all are settings, which everybody sends.
        if self.has_begun && !OF_CALLS.contains(&kind) && flags & ACK == 0 {
            read.idle_frames += 1;
        }
        self.has_begun = true;
        read.settled |= self.is_between();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
        frame.extend([0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    fn begun() -> Vec<u8> {
        [&PREFACE[..], &frame(0x4, 0, &[])].concat()
    }

    /// However the bytes are cut, the same is owed at the end of each piece.
    #[test]
    fn what_is_owed_does_not_hang_on_how_bytes_arrive() {
        let parts: [(&[u8], bool); 7] = [
            (&PREFACE[..23], true),
            (&PREFACE[23..], true),
            (&frame(0x4, 0, &[1, 2, 3]), false),
            (&frame(HEADERS, 0, b"x"), true),
            (&frame(CONTINUATION, 0, &[]), true),
            (&frame(CONTINUATION, END_HEADERS, b"yz"), false),
            (&frame(0x0, 0, &[7; 200])[..100], true),
        ];
        for size in 1..40 {
            let mut reading = Reading::new();
            for (bytes, owed) in parts {
                for piece in bytes.chunks(size) {
                    reading.take(piece);
                }
                assert_eq!(reading.is_owed(), owed, "{bytes:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_first_head_of_http_1_is_owed_to_its_end() {
        for head in ["GET / HTTP/1.1\r\na: b\r\n\r\n", "PRI /x HTTP/1.1\n\n"] {
            let mut reading = Reading::new();
            let (last, first) = head.as_bytes().split_last().unwrap();
            reading.take(first);
            assert!(reading.is_owed(), "{head}");
            reading.take(&[*last]);
            assert!(!reading.is_owed(), "{head}");
        }
    }

    #[test]
    fn a_new_debt_is_told_from_an_old_one() {
        let mut reading = Reading::new();
        assert!(reading.take(&begun()).settled);
        // The end of one frame and the beginning of the next, in one piece.
        assert!(!reading.take(&frame(0x0, 0, b"abcd")[..11]).settled);
        let piece = [b"cd", &frame(0x0, 0, b"e")[..9]].concat();
        assert!(reading.take(&piece).settled);
        assert!(reading.is_owed());
        assert!(!reading.take(b"").settled);
        // A header block is one debt, in however many frames.
        reading.take(b"e");
        reading.take(&frame(HEADERS, 0, b"x"));
        assert!(!reading.take(&frame(CONTINUATION, 0, b"y")).settled);
    }

    #[test]
    fn pings_and_settings_are_counted_and_answers_are_not() {
        let mut reading = Reading::new();
        assert_eq!(reading.take(&begun()).idle_frames, 0);
        let sent = [
            frame(0x6, 0, &[0; 8]),
            frame(0x6, ACK, &[0; 8]),
            frame(0x4, 0, &[]),
            frame(0x4, ACK, &[]),
            frame(0x8, 0, &[0; 4]),
            frame(0x0, 0, b"x"),
            frame(0x2, 0, &[0; 5]),
        ];
        assert_eq!(reading.take(&sent.concat()).idle_frames, 3);
    }
}
