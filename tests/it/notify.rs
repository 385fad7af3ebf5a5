//! What a service manager is told (systemd's `Type=notify`), by a socket that stands for it.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    time::Duration,
};

use crate::support::binary::{Binary, PATIENCE};

/// What a manager hears next.
fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("the manager is told");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn manager(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A manager hears that the service is ready when it takes calls, and not before; and that it stops as soon as it was asked
/// to, once, so that nobody takes its end for a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_of_start_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = manager(&path);
    let envs = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    // Free a moment ago: whoever hears that the service is ready must know where.
    let api = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hearing = tokio::task::spawn_blocking(move || {
        let heard = heard(&socket);
        (heard, TcpStream::connect(api).is_ok(), socket)
    });
    let server = Binary::serve_at(&api.to_string(), &dir.path().join("data"), &envs).await;
    let (ready, takes_calls, socket) = hearing.await.unwrap();
    assert_eq!(ready.trim(), "READY=1");
    assert!(takes_calls, "told too early");
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(heard(&socket).trim(), "STOPPING=1");
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    assert!(socket.recv(&mut [0; 16]).is_err(), "it was told more");
}

/// A manager that has gone is no reason not to serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_that_is_gone_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nobody");
    let envs = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let server = Binary::serve(&dir.path().join("data"), &envs).await;
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("could not be told"), "{log}");
}
