//! A proxy in front of PostgreSQL that can fall silent, as a machine does that is gone: its connections stay open, and no
//! byte passes. And one that can lead to another server, as an address does after a switchover.

use std::{future, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
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
}

impl DeafProxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State {
            target,
            silences: 0,
            is_deaf: false,
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

    /// New connections lead elsewhere; the old ones stay where they are.
    pub fn leads_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

/// Passes bytes on until one side ends, or the next silence.
async fn pass(mut client: TcpStream, mut states: watch::Receiver<State>) {
    let at_first = *states.borrow_and_update();
    let silence = states.wait_for(|now| now.silences != at_first.silences);
    if at_first.is_deaf {
        future::pending::<()>().await;
    }
    let Ok(mut server) = TcpStream::connect(at_first.target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = silence => {}
    }
    // With both sockets open.
    future::pending::<()>().await;
}
