//! The real program at the finest level of its log, callers of every role, and everything that comes out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use bytes::Bytes;
use data_encoding::BASE64;
use lead_intake::{
    pb,
    rpc::auth::Access,
    store::StoreUrl,
    token::{Role, Token},
};
use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tonic::{
    Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::CANARIES;
use crate::{
    cli::House,
    scan::{
        Needles,
        places::{Place, below, postgres_files},
    },
    support::{
        Backend,
        binary::{Ran, listed},
        collector::Collector,
        raw,
    },
};

/// Calls that are asked for what a person submitted.
const SHOWING_CALLS: [&str; 4] = ["PullLeads", "StreamLeads", "GetLead", "ExportSubject"];
/// Commands that are, and the one that shows a token, once.
const SHOWING_COMMANDS: [&str; 4] = ["pull", "get", "export", "client add"];
/// Files that have secrets because that is what they are for.
const SECRET_FILES: [&str; 3] = ["/tokens/", "/keys.toml", "/checkpoint.key"];

/// A method of the contract.
#[derive(Clone)]
pub struct Method {
    pub name: String,
    pub path: String,
    pub roles: Vec<Role>,
    pub request: MessageDescriptor,
}

pub struct Scenario {
    pub house: House,
    pub channel: Channel,
    /// Where the server's spans go.
    pub collector: Collector,
    methods: Vec<Method>,
    tokens: Vec<(Role, String)>,
    /// What came out.
    places: Vec<Place>,
    called: BTreeSet<String>,
    ran: BTreeSet<String>,
    /// Commands that have commands of their own.
    groups: BTreeSet<String>,
}

impl Scenario {
    pub async fn start(backend: Backend) -> Self {
        Self::below(tempfile::tempdir().unwrap(), "data", backend).await
    }

    /// The same, with a data directory of this name.
    pub async fn below(dir: tempfile::TempDir, name: &str, backend: Backend) -> Self {
        let collector = Collector::start().await;
        let envs = [
            ("RUST_LOG", "trace"),
            ("LEAD_INTAKE_OTLP_ENDPOINT", &collector.url()),
        ];
        let house = House::below(dir, name, backend, &envs).await;
        let channel = Endpoint::from_shared(house.url.clone())
            .unwrap()
            .connect_lazy();
        let token = |role: Role| {
            let path = house.data().join("tokens").join(role.name());
            (role, fs::read_to_string(path).unwrap().trim().to_owned())
        };
        Self {
            channel,
            collector,
            methods: methods(),
            tokens: Role::ALL.map(token).to_vec(),
            places: Vec::new(),
            called: BTreeSet::new(),
            ran: BTreeSet::new(),
            groups: BTreeSet::new(),
            house,
        }
    }

    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter()
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(of, _)| *of == role).unwrap().1
    }

    /// The person's values, every token, and every key.
    pub fn needles(&self) -> Needles {
        let mut texts = CANARIES.to_vec();
        let tokens: Vec<_> = self
            .tokens
            .iter()
            .map(|(_, token)| Token::parse(token).unwrap())
            .collect();
        for token in &tokens {
            let whole = token.expose();
            // The secret, without what names the token.
            texts.extend([whole, &whole[20..60]]);
        }
        let read = |file| fs::read_to_string(self.house.data().join(file)).unwrap();
        let (ring, signer) = (read("keys.toml"), read("checkpoint.key"));
        let mut keys: Vec<_> = ring.split('"').filter(|word| word.len() == 44).collect();
        assert!(keys.len() >= 2);
        // `PRIVATE+KEY+<name>+<id>+<key>`: a byte that says of what kind it is, and the seed.
        keys.push(signer.trim().splitn(5, '+').nth(4).unwrap());
        texts.extend(&keys);
        let bytes = |key: &&str| BASE64.decode(key.as_bytes()).unwrap();
        let mut keys: Vec<_> = keys.iter().map(bytes).collect();
        let seed = keys.pop().unwrap();
        assert_eq!(seed.len(), 33);
        keys.push(seed[1..].to_vec());
        Needles::of(&texts, &keys)
    }

    /// Calls a method of the contract as it is meant to be called; gives its answer, or the last of a stream's.
    pub async fn call<M: Message + Default>(
        &mut self,
        role: Role,
        method: &str,
        request: &impl Message,
    ) -> Result<M, Status> {
        let method = self
            .methods
            .iter()
            .find(|of| of.name == method)
            .expect(method)
            .clone();
        self.called.insert(method.name.clone());
        let metadata = raw::bearer(self.token(role));
        let answer = self
            .send(&method, metadata, request.encode_to_vec().into())
            .await?;
        let last = answer.last().cloned().unwrap_or_default();
        Ok(M::decode(last).unwrap())
    }

    /// The same, where it must be done.
    pub async fn done<M: Message + Default>(
        &mut self,
        role: Role,
        method: &str,
        request: &impl Message,
    ) -> M {
        let answer = self.call(role, method, request).await;
        answer.unwrap_or_else(|status| panic!("{method}: {status}"))
    }

    /// The same, where it must be refused.
    pub async fn refused(&mut self, role: Role, method: &str, request: &impl Message) {
        let answer = self.call::<()>(role, method, request).await;
        assert!(answer.is_err(), "{method} was done");
    }

    /// Sends anything, and keeps what comes back.
    pub async fn send(
        &mut self,
        method: &Method,
        metadata: MetadataMap,
        message: Bytes,
    ) -> Result<Vec<Bytes>, Status> {
        let answer = raw::call(&self.channel, &method.path, metadata, message).await;
        match &answer {
            Ok(messages) if !SHOWING_CALLS.contains(&&*method.name) => {
                self.keep(&format!("an answer of {}", method.name), messages.concat());
            }
            Ok(_) => {}
            Err(status) => self.keep_refusal(&method.name, status),
        }
        answer
    }

    pub fn keep_refusal(&mut self, of: &str, status: &Status) {
        self.keep(&format!("a refusal of {of}"), raw::everything(status));
    }

    pub fn keep(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.places.push(Place::new(name, bytes));
    }

    /// Runs a command, and keeps what it writes.
    pub async fn command(&mut self, args: &[&str], stdin: &str, code: i32) -> Ran {
        let ran = self.house.run_with(&[], args, stdin).await.with_code(code);
        let mut name = args[0].to_owned();
        // `receipt` is a command itself, too.
        if self.groups().await.contains(args[0]) && !args[1].contains('-') {
            name = format!("{name} {}", args[1]);
        }
        if !SHOWING_COMMANDS.contains(&&*name) {
            self.keep(&format!("stdout of {name}"), &*ran.out);
        }
        self.keep(&format!("stderr of {name}"), &*ran.err);
        self.ran.insert(name);
        ran
    }

    async fn groups(&mut self) -> &BTreeSet<String> {
        if self.groups.is_empty() {
            for name in listed(&[]).await {
                if !listed(&[&name]).await.is_empty() {
                    self.groups.insert(name);
                }
            }
        }
        &self.groups
    }

    /// Fails if there is a call or a command that was not made.
    pub async fn assert_complete(&mut self) {
        let names: BTreeSet<_> = self
            .methods
            .iter()
            .map(|method| method.name.clone())
            .collect();
        assert_eq!(self.called, names, "a call has no place in the scenario");
        let groups = self.groups().await.clone();
        let mut commands = BTreeSet::new();
        for name in listed(&[]).await {
            if groups.contains(&name) {
                let own = listed(&[&name]).await.into_iter();
                commands.extend(own.map(|own| format!("{name} {own}")));
            } else {
                commands.insert(name);
            }
        }
        commands.insert("receipt".to_owned());
        // It runs all the time.
        commands.remove("serve");
        assert_eq!(self.ran, commands, "a command has no place in the scenario");
    }

    /// What came out until now, and everything that lies on the disk.
    pub async fn everything(&mut self) -> Vec<Place> {
        let server = &self.house.server;
        assert_eq!(server.out(), "", "the server writes to its log only");
        let (log, metrics) = (server.log(), server.get("/metrics").await);
        let process = format!("/proc/{}", server.child.id().unwrap());
        for file in ["cmdline", "environ"] {
            let path = format!("{process}/{file}");
            match fs::read(&path) {
                Ok(bytes) => self.keep(&path, bytes),
                // Closed to its own user too (C1): only root, as in CI's containers, can look.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
            }
        }
        self.keep("the server's log", log);
        self.keep("the metrics", metrics);
        let spans = self.collector.bytes();
        self.keep("the spans", spans);
        let mut places = std::mem::take(&mut self.places);
        places.extend(on_disk(&self.house.database_url(), self.house.dir.path()).await);
        places
    }

    /// Stops the server; gives its log, and every place as it is then.
    pub async fn stop(self) -> (String, Vec<Place>) {
        let url = self.house.database_url();
        let House { dir, server, .. } = self.house;
        let (status, log) = server.signal("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");
        let mut places = self.places;
        places.push(Place::new("the server's log", &*log));
        // The last ones are sent before it ends.
        places.push(Place::new("the spans", self.collector.bytes()));
        places.extend(on_disk(&url, dir.path()).await);
        (log, places)
    }
}

/// Everything on the disk but the files that are there for secrets.
pub async fn on_disk(url: &StoreUrl, dir: &std::path::Path) -> Vec<Place> {
    let mut places = below(dir);
    places.retain(|place| {
        !SECRET_FILES
            .iter()
            .any(|secret| place.name.contains(secret))
    });
    if let StoreUrl::Postgres(_) = url {
        places.extend(postgres_files(url).await);
    }
    places
}

/// Every method of the contract, as its descriptors say.
fn methods() -> Vec<Method> {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let access = Access::from_descriptors(&pool).unwrap();
    let roles: BTreeMap<_, _> = access.methods().collect();
    let own = pool
        .services()
        .filter(|service| service.package_name() == "leadintake.v1");
    let methods = own.flat_map(|service| service.methods().collect::<Vec<_>>());
    let methods = methods.map(|method| {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Method {
            name: method.name().to_owned(),
            roles: roles[&*path].to_vec(),
            path,
            request: method.input(),
        }
    });
    methods.collect()
}
