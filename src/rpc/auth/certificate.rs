//! Who a connection's certificate is: a name in it stands for a client, instead of its token or beside it.
//!
//! The rule: a certificate never makes a client. The client is one of `lead-intake client add`, with a role and a token
//! that holds; who revokes that ends the certificate's use with it, within the same 5 s. A client whose certificate
//! stands beside its token is taken by no token alone; and on a connection with the certificate of one client no other
//! client calls.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::Service;

/// What a certificate's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// Name of the client.
    pub client: Arc<str>,
    /// Whether the client sends its token too.
    pub with_token: bool,
}

/// Every name that stands for a client.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    names: HashMap<String, Certified>,
    /// Clients that no token alone proves.
    bound: HashSet<Arc<str>>,
}

impl Certificates {
    /// These names: a URI or a DNS name of a certificate, each with its client.
    #[must_use]
    pub fn new(names: HashMap<String, Certified>) -> Self {
        let bound = names
            .values()
            .filter(|certified| certified.with_token)
            .map(|certified| certified.client.clone())
            .collect();
        Self { names, bound }
    }

    /// Who a peer with these names is. `None`: nobody in particular; its token says who calls.
    #[must_use]
    pub fn of(&self, names: &[String]) -> Option<Certified> {
        names.iter().find_map(|name| self.names.get(name)).cloned()
    }

    /// Whether this client needs a certificate beside its token.
    pub(super) fn binds(&self, client: &str) -> bool {
        self.bound.contains(client)
    }
}

/// Puts what its connection's certificate says into each request.
#[derive(Clone, Debug)]
pub struct OfPeer<S> {
    inner: S,
    certified: Option<Certified>,
}

impl<S> OfPeer<S> {
    /// A service for one connection.
    pub fn new(inner: S, certified: Option<Certified>) -> Self {
        Self { inner, certified }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for OfPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(certified) = &self.certified {
            request.extensions_mut().insert(certified.clone());
        }
        self.inner.call(request)
    }
}
