//! Who may call what.
//!
//! The access rules stand in the contract, as an option of each method; [`Access`] reads them from the
//! descriptors the server was built with and refuses to start if one is missing. [`AuthLayer`] applies them
//! before any handler runs: a method that is not listed is denied. Health and reflection are other packages
//! and carry no data; they need no token. A connection's certificate can stand for a token, or beside it
//! ([`certificate`]).

pub mod certificate;

mod tokens;

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use prost_reflect::{DescriptorPool, Value};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use self::certificate::{Certificates, Certified};
pub(super) use self::tokens::TRUST;
use self::tokens::{Key, Known, Tokens};
use super::{
    limits::{self, Limits, Taken},
    observe,
    status::Refusal,
};
use crate::{
    clock::SharedClock,
    store::{Client, ClientStore, TokenRecord},
    token::{Role, Token},
};

const PACKAGE: &str = "leadintake.v1";
const OPTION: &str = "leadintake.v1.allowed_roles";
/// The roles that may call each method, by its path.
#[derive(Debug)]
pub struct Access(HashMap<String, Vec<Role>>);

/// A method of the contract says nothing of who may call it.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no usable allowed_roles option")]
pub struct Unguarded(String);

impl Access {
    /// Reads the rules from descriptors.
    pub fn from_descriptors(pool: &DescriptorPool) -> Result<Self, Unguarded> {
        let option = pool.get_extension_by_name(OPTION);
        let mut table = HashMap::new();
        for method in pool
            .services()
            .filter(|s| s.package_name() == PACKAGE)
            .flat_map(|s| s.methods().collect::<Vec<_>>())
        {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let value = option
                .as_ref()
                .map(|option| method.options().get_extension(option).into_owned());
            let Some(Value::List(numbers)) = value else {
                return Err(Unguarded(path));
            };
            let roles: Option<Vec<Role>> = numbers
                .iter()
                .map(|number| Role::from_number(number.as_enum_number()?.into()))
                .collect();
            match roles {
                Some(roles) if !roles.is_empty() => table.insert(path, roles),
                _ => return Err(Unguarded(path)),
            };
        }
        Ok(Self(table))
    }

    /// The roles that may call a method.
    #[must_use]
    pub fn roles(&self, path: &str) -> Option<&[Role]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// Every method and its roles.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &[Role])> {
        self.0
            .iter()
            .map(|(path, roles)| (path.as_str(), roles.as_slice()))
    }
}

/// Checks tokens.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Tokens,
    clock: SharedClock,
    certificates: Arc<Certificates>,
}

impl Authenticator {
    /// An authenticator over these clients, who may take so much, and the certificates that stand for some.
    #[must_use]
    pub fn new(
        store: Arc<dyn ClientStore>,
        clock: SharedClock,
        certificates: Arc<Certificates>,
        limits: &Limits,
    ) -> Self {
        Self {
            tokens: Tokens::new(store, limits),
            clock,
            certificates,
        }
    }

    /// The caller that these headers prove, or the certificate of their connection.
    async fn caller(
        self: &Arc<Self>,
        headers: &HeaderMap,
        certified: Option<&Certified>,
    ) -> Result<Caller, Status> {
        let proof = match (headers.contains_key(AUTHORIZATION), certified) {
            (false, Some(certified)) if !certified.with_token => {
                Proof::Certificate(certified.client.clone())
            }
            _ => Proof::Token(bearer(headers)?),
        };
        let known = self.check(&proof).await?;
        let role = Role::from_number(known.record.client.role).ok_or(Refusal::TokenInvalid)?;
        let client = &*known.record.client.name;
        match certified {
            Some(certified) if *certified.client != *client => {
                return Err(Refusal::CertificateOfAnother.into());
            }
            None if self.certificates.binds(client) => {
                return Err(Refusal::CertificateMissing.into());
            }
            _ => {}
        }
        Ok(Caller {
            known,
            role,
            proof,
            authenticator: self.clone(),
        })
    }

    /// What is known of a proof that is valid now.
    async fn check(&self, proof: &Proof) -> Result<Known, Status> {
        match proof {
            Proof::Token(token) => self.check_token(token).await,
            Proof::Certificate(client) => {
                let known = self.tokens.find(Key::Client(client)).await?;
                let known = known.ok_or(Refusal::CertificateUnknown)?;
                self.holds(&known.record)?;
                Ok(known)
            }
        }
    }

    /// What is known of a token that is valid now.
    async fn check_token(&self, token: &Token) -> Result<Known, Status> {
        let known = self.tokens.find(Key::Token(token.key_id())).await?;
        // An unknown identifier is compared too, with nothing that any secret hashes to: it takes as long.
        let stored = known
            .as_ref()
            .map_or(&[0; 32][..], |known| &known.record.secret_hash);
        let matches = token.matches(stored);
        let known = known.filter(|_| matches).ok_or(Refusal::TokenInvalid)?;
        self.holds(&known.record)?;
        Ok(known)
    }

    /// Whether a token was neither revoked nor has come to its end.
    fn holds(&self, record: &TokenRecord) -> Result<(), Refusal> {
        if record.revoked_at.is_some() {
            return Err(Refusal::TokenRevoked);
        }
        if record.not_after <= self.clock.now() {
            return Err(Refusal::TokenExpired);
        }
        Ok(())
    }
}

/// The one token in a request's headers.
fn bearer(headers: &HeaderMap) -> Result<Token, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::TokenMissing)?;
    if values.next().is_some() {
        return Err(Refusal::TokenInvalid);
    }
    let value = value.to_str().map_err(|_| Refusal::TokenInvalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::TokenInvalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::TokenInvalid);
    }
    Token::parse(token.trim()).ok_or(Refusal::TokenInvalid)
}

/// What proves who calls.
#[derive(Clone, Debug)]
enum Proof {
    Token(Token),
    /// A certificate of the client with this name.
    Certificate(Arc<str>),
}

/// Who calls: in the extensions of every request that reaches a handler.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its role.
    pub role: Role,
    known: Known,
    proof: Proof,
    authenticator: Arc<Authenticator>,
}

impl Caller {
    /// The caller of a request.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Status> {
        // The layer put it there; a server wired without the layer answers nobody.
        request
            .extensions()
            .get()
            .ok_or_else(|| Refusal::TokenMissing.into())
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.known.record.client
    }

    /// A place for a stream, to be held for as long as its messages may lie here.
    pub fn open_stream(&self) -> Result<Taken, Status> {
        self.known.allowance.stream()
    }

    /// Whether what proved it still holds: asked again and again by streams.
    pub async fn check(&self) -> Result<(), Status> {
        self.authenticator.check(&self.proof).await.map(|_| ())
    }
}

/// Applies the access rules.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    access: Arc<Access>,
    authenticator: Arc<Authenticator>,
}

impl AuthLayer {
    /// A layer with these rules and clients.
    #[must_use]
    pub fn new(access: Arc<Access>, authenticator: Arc<Authenticator>) -> Self {
        Self {
            access,
            authenticator,
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone is the one to keep: this one was polled ready.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let AuthLayer {
            access,
            authenticator,
        } = self.layer.clone();
        Box::pin(async move {
            let path = request.uri().path();
            if !path.trim_start_matches('/').starts_with(PACKAGE) {
                return inner.call(request).await;
            }
            let Some(roles) = access.roles(path) else {
                return Ok(Status::from(Refusal::UnknownMethod).into_http());
            };
            let certified = request.extensions().get::<Certified>();
            let caller = match authenticator.caller(request.headers(), certified).await {
                Ok(caller) => caller,
                Err(status) => return Ok(status.into_http()),
            };
            let role = caller.role;
            observe::has_role(role);
            let is_stream = limits::is_stream(path);
            Ok(match caller.known.allowance.call() {
                Err(status) => status.into_http(),
                Ok(_) if !roles.contains(&role) => {
                    Status::from(Refusal::RoleNotAllowed).into_http()
                }
                Ok(place) => {
                    request.extensions_mut().insert(caller);
                    let response = inner.call(request).await?;
                    // Of a stream the call ends where it begins: from then on it is counted as a stream.
                    if !is_stream {
                        observe::hold_of_client(place);
                    }
                    response
                }
            })
        })
    }
}
