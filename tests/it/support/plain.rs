//! Plain HTTP, as a website without gRPC speaks it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tonic::Status;

/// A request in the making.
pub struct Http {
    api: SocketAddr,
    is_http2: bool,
    request: http::request::Builder,
}

/// One message as gRPC frames it.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub trailers: Option<HeaderMap>,
    pub body: Bytes,
}

impl Http {
    /// A POST over HTTP/1.1.
    pub fn post(api: SocketAddr, path: &str) -> Self {
        Self::new(api, Method::POST, path)
    }

    pub fn new(api: SocketAddr, method: Method, path: &str) -> Self {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{api}{path}"))
            .header(header::HOST, api.to_string());
        Self {
            api,
            is_http2: false,
            request,
        }
    }

    pub fn http2(self) -> Self {
        Self {
            is_http2: true,
            ..self
        }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self {
            request: self.request.header(name, value),
            ..self
        }
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends a message as JSON.
    pub async fn json(self, message: &Value) -> Answer {
        let message = message.to_string();
        self.header("content-type", "application/json")
            .send(message)
            .await
    }

    /// Sends a body as gRPC, with whatever headers: a client of gRPC would heed some of them itself. Gives the status.
    pub async fn grpc(self, body: impl Into<Bytes>) -> Status {
        let request = self.http2().header("content-type", "application/grpc");
        let answer = request.header("te", "trailers").send(body).await;
        let headers = answer.trailers.as_ref().unwrap_or(&answer.headers);
        Status::from_header_map(headers).unwrap_or_else(|| panic!("no status: {answer:?}"))
    }

    pub async fn send(self, body: impl Into<Bytes>) -> Answer {
        let request = self.request.body(Full::new(body.into())).unwrap();
        let io = TokioIo::new(TcpStream::connect(self.api).await.unwrap());
        let response = if self.is_http2 {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, code and reason of an error.
    pub fn refusal(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = text(&self.detail("ErrorInfo")["reason"]);
        (self.status.as_u16(), text(&json["code"]), reason)
    }

    /// A detail of an error, readable.
    pub fn detail(&self, name: &str) -> Value {
        let json = self.json();
        let details = json["details"].as_array().cloned().unwrap_or_default();
        let name = format!("google.rpc.{name}");
        let found = details.into_iter().find(|detail| detail["type"] == name);
        found.map_or(Value::Null, |detail| detail["debug"].clone())
    }
}
