//! A proxy that cuts connections at random places: in the middle of a request, between a request and its answer, in the
//! middle of an answer. What the two sides then believe of a call differs, which is what it is for.
//!
//! Each connection is drawn one direction and a number of bytes; when so many have passed that way both sides are cut
//! off, without a word. The draw is from a seed, so the same cuts come again as far as the callers do the same.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinHandle,
};

use super::random::Random;

/// The most bytes that pass before a cut: some twelve submissions.
const BYTES_MAX: usize = 2500;

/// A running proxy; gone when dropped.
pub struct CuttingProxy {
    pub address: SocketAddr,
    cuts: Arc<[AtomicU64; 2]>,
    accepting: JoinHandle<()>,
}

impl CuttingProxy {
    /// A proxy in front of these servers, of which each connection gets one by chance.
    pub async fn start(servers: Vec<SocketAddr>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let counted = cuts.clone();
        let random = Mutex::new(Random::new(seed));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, on_the_way_back, bytes) = {
                    let mut random = random.lock().unwrap();
                    let server = servers[random.below(servers.len())];
                    (server, random.below(2), random.below(BYTES_MAX))
                };
                let cuts = counted.clone();
                tokio::spawn(async move {
                    if pass(client, server, on_the_way_back, bytes).await {
                        cuts[on_the_way_back].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self {
            address,
            cuts,
            accepting,
        }
    }

    /// Connections that were cut on the way there, and on the way back.
    pub fn cuts(&self) -> [u64; 2] {
        [0, 1].map(|way| self.cuts[way].load(Ordering::Relaxed))
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes bytes on until so many have gone one way, or one side ends; gives whether it was cut.
async fn pass(client: TcpStream, server: SocketAddr, on_the_way_back: usize, bytes: usize) -> bool {
    let Ok(server) = TcpStream::connect(server).await else {
        return false;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let limit = |way| {
        if on_the_way_back == way {
            bytes
        } else {
            usize::MAX
        }
    };
    // Whichever ends first takes the other with it, and so both connections.
    tokio::select! {
        cut = forward(from_client, to_server, limit(0)) => cut,
        cut = forward(from_server, to_client, limit(1)) => cut,
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut left: usize) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let passed = read.min(left);
        if to.write_all(&buffer[..passed]).await.is_err() {
            return false;
        }
        left -= passed;
        if left == 0 {
            return true;
        }
    }
}
