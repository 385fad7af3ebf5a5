//! The admin listener: probes and metrics, for the machine's operator and nobody else.

use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    door::{self, Door, Stage},
    rpc::limits::UnderWay,
    telemetry,
};

/// Connections to the admin listener: probes and Prometheus.
const CONNECTIONS_MAX: usize = 64;

/// Serves probes and metrics until it is told otherwise.
pub(super) fn serve(
    listener: TcpListener,
    limits: &door::Limits,
    routes: Router,
) -> (watch::Sender<Stage>, JoinHandle<()>) {
    let (told, stage) = watch::channel(Stage::Open);
    let limits = door::Limits {
        connections_max: CONNECTIONS_MAX,
        ..limits.clone()
    };
    let door = Door::new("admin", listener, limits);
    let serving = tokio::spawn(door.serve(move |_| routes.clone(), stage));
    (told, serving)
}

/// What is told there.
pub(super) fn routes(
    metrics: Option<PrometheusHandle>,
    ready: watch::Receiver<bool>,
    under_way: UnderWay,
) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async move || {
                if *ready.borrow() {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
                }
            }),
        )
        .route(
            "/metrics",
            get(async move || {
                telemetry::show_process();
                telemetry::show_calls_under_way(under_way.count());
                metrics
                    .as_ref()
                    .map_or_else(String::new, PrometheusHandle::render)
            }),
        )
}
