//! Callers without gRPC, on the same port and paths: JSON over HTTP for plain HTTP clients (the Connect protocol's
//! unary form) and grpc-web for browsers.
//!
//! The outermost layer: it turns either into the gRPC call that it means, so that no rule behind it has a second
//! door. What is gRPC already passes untouched. One more protocol is one more arm of [`WebService`]'s `call`.

mod connect;
mod cors;
mod error;
mod message;
mod rest;

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use self::connect::Connect;
pub use self::{
    cors::{Origin, OriginError, cors},
    error::http_status,
};

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";

/// Speaks to callers without gRPC.
#[derive(Clone, Debug)]
pub struct WebLayer(Connect);

impl WebLayer {
    /// A layer for this contract, with messages of at most `message_max` bytes.
    #[must_use]
    pub fn new(contract: &DescriptorPool, message_max: usize) -> Self {
        Self(Connect::new(contract, message_max))
    }
}

impl<S> Layer<S> for WebLayer {
    type Service = WebService<S>;

    fn layer(&self, inner: S) -> WebService<S> {
        WebService {
            inner,
            connect: self.0.clone(),
        }
    }
}

/// The service that [`WebLayer`] makes.
#[derive(Clone, Debug)]
pub struct WebService<S> {
    inner: S,
    connect: Connect,
}

impl<S> Service<Request<Body>> for WebService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kind = media_type(request.headers());
        // gRPC needs HTTP/2: its status comes after the message.
        if request.version() == Version::HTTP_2 && is_kind(kind, "application/grpc") {
            return Either::Left(self.inner.call(request));
        }
        let is_grpc_web =
            is_kind(kind, "application/grpc-web") || is_kind(kind, "application/grpc-web-text");
        // The clone is the one to keep: this one was polled ready.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        let (request, rest) = rest::lend(request);
        let connect = self.connect.clone();
        Either::Right(Box::pin(async move {
            let answered = if is_grpc_web {
                GrpcWebLayer::new().layer(inner).call(request).await
            } else {
                connect.call(inner, request).await
            };
            rest.discard().await;
            answered
        }))
    }
}

/// Whether a media type is this one, or this one with a message format.
fn is_kind(kind: &str, name: &str) -> bool {
    kind.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// The media type of a message, without its parameters.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

/// An answer that nobody may keep: it has, or could have, personal data.
fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
