//! Unary calls in the Connect protocol: `POST /leadintake.v1.IntakeService/SubmitLead` with a message as JSON or
//! protobuf, answered with a message, or with a status and an error. <https://connectrpc.com/docs/protocol>
//!
//! A call is passed on as the gRPC call that it means, so everything behind this sees nothing else: the same rules
//! for callers, limits, logs, metrics and handlers.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Code, Status, body::Body};
use tower::Service;

use super::{
    super::{
        json,
        limits::{GRPC_TIMEOUT, from_millis},
        observe::REQUEST_ID,
        status::Refusal,
    },
    error,
    message::{Format, PREFIX, framed},
};

pub(super) const VERSION: &str = "connect-protocol-version";
pub(super) const TIMEOUT: &str = "connect-timeout-ms";

/// The headers that mean the same in gRPC.
const PASSED: [HeaderName; 3] = [
    header::AUTHORIZATION,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// The methods of the contract, by path, and how large their messages may be.
#[derive(Clone, Debug)]
pub(super) struct Connect {
    methods: Arc<HashMap<String, MethodDescriptor>>,
    message_max: usize,
}

/// A call that can be passed on.
struct Call {
    method: MethodDescriptor,
    format: Format,
    timeout: Option<HeaderValue>,
}

impl Connect {
    pub(super) fn new(pool: &DescriptorPool, message_max: usize) -> Self {
        let path =
            |it: &MethodDescriptor| format!("/{}/{}", it.parent_service().full_name(), it.name());
        let methods = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        Self {
            methods: Arc::new(methods.map(|method| (path(&method), method)).collect()),
            message_max,
        }
    }

    /// Answers a request that is not gRPC.
    pub(super) async fn call<S>(
        self,
        mut inner: S,
        request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let (head, body) = request.into_parts();
        let Some(method) = self.methods.get(head.uri.path()) else {
            // Counted as every call of a method that does not exist. Nothing reads its body.
            let response = inner.call(grpc(head, Body::empty())).await?;
            return Ok(not_found(&response));
        };
        let call = match Call::of(method.clone(), &head) {
            Ok(call) => call,
            Err(response) => return Ok(*response),
        };
        let message = framed(body, call.format, call.method.input(), self.message_max);
        let mut request = grpc(head, message);
        // Held there, as for every call: see `limits`.
        if let Some(timeout) = &call.timeout {
            request.headers_mut().insert(GRPC_TIMEOUT, timeout.clone());
        }
        let response = inner.call(request).await?;
        Ok(call.answer(response).await)
    }
}

impl Call {
    /// The call that this request is, or what is wrong with it as HTTP.
    fn of(method: MethodDescriptor, head: &Parts) -> Result<Self, Box<Response<Body>>> {
        let refuse =
            |refusal: Refusal, status| Box::new(error::response_as(&refusal.into(), status));
        if head.method != Method::POST {
            let mut response = refuse(Refusal::MethodNotPost, StatusCode::METHOD_NOT_ALLOWED);
            let allow = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allow);
            return Err(response);
        }
        let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let format = match super::media_type(&head.headers) {
            "application/json" => Format::Json,
            "application/proto" => Format::Proto,
            _ => return Err(refuse(Refusal::MediaTypeNotSupported, unsupported)),
        };
        if method.is_server_streaming() || method.is_client_streaming() {
            return Err(refuse(Refusal::StreamNeedsGrpc, unsupported));
        }
        if text(&head.headers, header::CONTENT_ENCODING.as_str()).is_some_and(|it| it != "identity")
        {
            return Err(refuse(Refusal::EncodingNotSupported, unsupported));
        }
        if text(&head.headers, VERSION).is_some_and(|it| it != "1") {
            return Err(refuse(Refusal::MalformedMessage, StatusCode::BAD_REQUEST));
        }
        let millis = text(&head.headers, TIMEOUT).and_then(|it| it.parse().ok());
        Ok(Self {
            method,
            format,
            timeout: millis.and_then(from_millis),
        })
    }

    /// What the caller gets for gRPC's answer.
    async fn answer(&self, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        let answered = match refused(&head.headers) {
            Some(status) => Err(status),
            None => self.message(body).await,
        };
        let mut response = match answered {
            Ok((kind, message)) => super::answer(StatusCode::OK, kind, message),
            Err(status) => error::response(&status),
        };
        if let Some(id) = head.headers.get(REQUEST_ID) {
            response.headers_mut().insert(REQUEST_ID, id.clone());
        }
        response
    }

    /// The one message of an answer.
    async fn message(&self, body: Body) -> Result<(&'static str, Bytes), Status> {
        let collected = body.collect().await?;
        if let Some(status) = collected.trailers().and_then(refused) {
            return Err(status);
        }
        let frame = collected.to_bytes();
        if frame.len() < PREFIX {
            return Err(Refusal::Internal.into());
        }
        let message = frame.slice(PREFIX..);
        match self.format {
            Format::Proto => Ok((super::PROTO, message)),
            Format::Json => {
                let json = json::write(&self.method.output(), &message)?;
                Ok((super::JSON, json.freeze()))
            }
        }
    }
}

/// The gRPC request with this head's path and credentials.
fn grpc(mut head: Parts, body: Body) -> Request<Body> {
    // What is said of a body, a connection or another protocol does not hold for what is passed on.
    let mut headers = HeaderMap::with_capacity(PASSED.len() + 3);
    for name in PASSED {
        // All of them: a second token is seen, and refused.
        for value in head.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    head.headers = headers;
    head.method = Method::POST;
    head.version = Version::HTTP_2;
    Request::from_parts(head, body)
}

/// The status in headers or trailers, unless it is OK.
fn refused(headers: &HeaderMap) -> Option<Status> {
    headers.get(Status::GRPC_STATUS)?;
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}

fn not_found(response: &Response<Body>) -> Response<Body> {
    let status = refused(response.headers()).unwrap_or_else(|| Refusal::UnknownMethod.into());
    error::response_as(&status, StatusCode::NOT_FOUND)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is not text is none of the values that are asked for.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}
