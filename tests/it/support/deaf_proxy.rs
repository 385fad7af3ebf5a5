//! A proxy in front of PostgreSQL that can fall silent, as a machine does that is gone: its connections stay open, and no
//! byte passes. And one that can lead to another server, as an address does after a switchover, or keep back what the server
//! says to one connection, as if who hears it stood still.

use std::{future, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use lead_intake::store::StoreUrl;
use secrecy::ExposeSecret as _;

use super::World;

/// A running proxy; gone when dropped, and its connections with it.
pub struct DeafProxy {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _accepting: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct State {
    target: SocketAddr,
    /// Rises with each silence; what was there before it is never heard again.
    silences: u32,
    is_deaf: bool,
    /// The port by which the server knows the connection whose answers are kept back.
    kept_back: Option<u16>,
}

impl DeafProxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State {
            target,
            silences: 0,
            is_deaf: false,
            kept_back: None,
        });
        let states = state.subscribe();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            // Ended with the task that takes them.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, states.clone()));
            }
        });
        Self {
            address,
            state,
            _accepting: accepting,
        }
    }

    /// A proxy between a world and its database.
    pub async fn between(world: &mut World) -> Self {
        let StoreUrl::Postgres(url) = &world.url else {
            unreachable!("a world on PostgreSQL")
        };
        let url = url.expose_secret().to_owned();
        let (_, place) = url.rsplit_once('@').unwrap();
        let (target, _) = place.split_once('/').unwrap();
        let proxy = Self::start(target.parse().unwrap()).await;
        let through = url.replace(target, &proxy.address.to_string());
        world.url = through.parse().unwrap();
        proxy
    }

    /// Not a byte passes any more, on old connections and new ones.
    pub fn falls_silent(&self) {
        self.state.send_modify(|state| {
            state.silences += 1;
            state.is_deaf = true;
        });
    }

    /// New connections are heard again; the old ones never.
    pub fn hears_again(&self) {
        self.state.send_modify(|state| {
            state.silences += 1;
            state.is_deaf = false;
        });
    }

    /// What the server says from now on to the connection that it knows by this port waits; with none, nothing does any more.
    pub fn keeps_back(&self, port: Option<u16>) {
        self.state.send_modify(|state| state.kept_back = port);
    }

    /// New connections lead elsewhere; the old ones stay where they are.
    pub fn leads_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

/// Passes bytes on until one side ends, or the next silence.
async fn pass(mut client: TcpStream, mut states: watch::Receiver<State>) {
    let at_first = *states.borrow_and_update();
    let answers = states.clone();
    let silence = states.wait_for(|now| now.silences != at_first.silences);
    if at_first.is_deaf {
        future::pending::<()>().await;
    }
    let Ok(mut server) = TcpStream::connect(at_first.target).await else {
        return;
    };
    let port = server.local_addr().unwrap().port();
    let (mut from_client, to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => return,
        () = answer(from_server, to_client, port, answers) => return,
        _ = silence => {}
    }
    // With both sockets open.
    future::pending::<()>().await;
}

/// Passes on what the server says, while it is not kept back.
async fn answer(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    port: u16,
    mut states: watch::Receiver<State>,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let passes = states.wait_for(|now| now.kept_back != Some(port));
        if passes.await.map(drop).is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
