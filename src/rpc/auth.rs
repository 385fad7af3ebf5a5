//! Who may call what.
//!
//! The access rules stand in the contract, as an option of each method; [`Access`] reads them from the
//! descriptors the server was built with and refuses to start if one is missing. [`AuthLayer`] applies them
//! before any handler runs: a method that is not listed is denied. Health and reflection are other packages
//! and carry no data; they need no token. A connection's certificate can stand for a token, or beside it
//! ([`certificate`]).

pub mod certificate;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use prost_reflect::{DescriptorPool, Value};
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use self::certificate::{Certificates, Certified};
use super::status::Refusal;
use crate::{
    clock::SharedClock,
    store::{Client, ClientStore, TokenRecord},
    token::{Role, Token},
};

const PACKAGE: &str = "leadintake.v1";
const OPTION: &str = "leadintake.v1.allowed_roles";
/// How long a token is trusted without asking the database: with it, a revocation acts within 5 s.
const TRUST: Duration = Duration::from_secs(4);
/// Tokens remembered: far more than there are clients.
const REMEMBERED_MAX: usize = 1024;

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
    store: Arc<dyn ClientStore>,
    clock: SharedClock,
    certificates: Arc<Certificates>,
    remembered: Mutex<HashMap<String, (Instant, Arc<TokenRecord>)>>,
}

impl Authenticator {
    /// An authenticator over these clients, and the certificates that stand for some.
    #[must_use]
    pub fn new(
        store: Arc<dyn ClientStore>,
        clock: SharedClock,
        certificates: Arc<Certificates>,
    ) -> Self {
        Self {
            store,
            clock,
            certificates,
            remembered: Mutex::default(),
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
            _ => Proof::Token(Arc::new(bearer(headers)?)),
        };
        let record = self.check(&proof).await?;
        let role = Role::from_number(record.client.role).ok_or(Refusal::TokenInvalid)?;
        let client = &*record.client.name;
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
            record,
            role,
            proof,
            authenticator: self.clone(),
        })
    }

    /// The record of a proof that is valid now.
    async fn check(&self, proof: &Proof) -> Result<Arc<TokenRecord>, Status> {
        match proof {
            Proof::Token(token) => self.check_token(token).await,
            Proof::Certificate(client) => {
                let record = self.record(Key::Client(client)).await?;
                let record = record.ok_or(Refusal::CertificateUnknown)?;
                self.holds(&record)?;
                Ok(record)
            }
        }
    }

    /// The record of a token that is valid now.
    async fn check_token(&self, token: &Token) -> Result<Arc<TokenRecord>, Status> {
        let known = self.record(Key::Token(&token.key_id)).await?;
        // An unknown identifier is compared too, with nothing that any secret hashes to: it takes as long.
        let stored = known
            .as_ref()
            .map_or(&[0; 32][..], |record| &record.secret_hash);
        let matches = token.matches(stored);
        let record = known.filter(|_| matches).ok_or(Refusal::TokenInvalid)?;
        self.holds(&record)?;
        Ok(record)
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

    async fn record(&self, key: Key<'_>) -> Result<Option<Arc<TokenRecord>>, Status> {
        let known = key.remembered_as();
        if let Some((since, record)) = self.remembered().get(&*known)
            && since.elapsed() < TRUST
        {
            return Ok(Some(record.clone()));
        }
        let record = match key {
            Key::Token(key_id) => self.store.token(key_id).await?,
            Key::Client(name) => self.store.token_of(name).await?,
        };
        let record = record.map(Arc::new);
        let mut remembered = self.remembered();
        match &record {
            Some(record) => {
                if remembered.len() >= REMEMBERED_MAX {
                    remembered.clear();
                }
                remembered.insert(known.into_owned(), (Instant::now(), record.clone()));
            }
            None => drop(remembered.remove(&*known)),
        }
        Ok(record)
    }

    fn remembered(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Arc<TokenRecord>)>> {
        // A panic while it is held leaves at worst one entry less.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    Token(Arc<Token>),
    /// A certificate of the client with this name.
    Certificate(Arc<str>),
}

/// What a token is looked up by.
#[derive(Clone, Copy)]
enum Key<'a> {
    /// Its identifier.
    Token(&'a str),
    /// Its client's name.
    Client(&'a str),
}

impl<'a> Key<'a> {
    /// One memory for both: no identifier has a colon in it.
    fn remembered_as(self) -> Cow<'a, str> {
        match self {
            Self::Token(key_id) => key_id.into(),
            Self::Client(name) => format!("client:{name}").into(),
        }
    }
}

/// Who calls: in the extensions of every request that reaches a handler.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its role.
    pub role: Role,
    record: Arc<TokenRecord>,
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
        &self.record.client
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
            match authenticator.caller(request.headers(), certified).await {
                Err(status) => Ok(status.into_http()),
                Ok(caller) if !roles.contains(&caller.role) => {
                    let mut response = Status::from(Refusal::RoleNotAllowed).into_http();
                    response.extensions_mut().insert(caller.role);
                    Ok(response)
                }
                Ok(caller) => {
                    let role = caller.role;
                    request.extensions_mut().insert(caller);
                    let mut response = inner.call(request).await?;
                    response.extensions_mut().insert(role);
                    Ok(response)
                }
            }
        })
    }
}
