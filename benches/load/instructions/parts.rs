//! Which part of a submission a function belongs to, by the file it was written in.

use std::{collections::BTreeMap, time::Duration};

/// A part of what a submission costs, in the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Door,
    Calls,
    Checks,
    Seal,
    Store,
    Ledger,
    Http,
    Runtime,
    Driver,
    Sqlite,
    Sha,
    Crypto,
    Allocator,
    Memory,
    Telemetry,
    Library,
    Other,
}

use Part::{
    Allocator, Calls, Checks, Crypto, Door, Driver, Http, Ledger, Library, Memory, Other, Runtime,
    Seal, Sha, Sqlite, Store, Telemetry,
};

/// The modules of our own code.
const MODULES: &[(Part, &[&str])] = &[
    (Door, &["door"]),
    (Calls, &["rpc", "pb", "server", "token"]),
    (Checks, &["domain"]),
    (Seal, &["seal"]),
    (Store, &["store"]),
    (Ledger, &["ledger", "jobs", "durable"]),
    (Telemetry, &["telemetry"]),
];

/// The crates that do most, by how their names begin.
const CRATES: &[(Part, &[&str])] = &[
    (
        Checks,
        &[
            "addr-spec",
            "icu_",
            "idna",
            "regex",
            "rlibphonenumber",
            "unicode-",
            "validator",
        ],
    ),
    // The mirror is lines of JSON.
    (Ledger, &["data-encoding", "itoa", "serde"]),
    (
        Http,
        &[
            "axum", "bytes", "h2-", "http", "hyper", "matchit", "prost", "slab", "tonic", "tower",
        ],
    ),
    (
        Runtime,
        &[
            "crossbeam",
            "event-listener",
            "flume",
            "futures",
            "mio-",
            "parking_lot",
            "socket2",
            "tokio",
        ],
    ),
    (Driver, &["sqlx", "hashlink"]),
    (Sqlite, &["libsqlite3-sys"]),
    (Crypto, &["aws-lc"]),
    (Allocator, &["libmimalloc-sys", "mimalloc"]),
    (
        Telemetry,
        &["metrics", "opentelemetry", "quanta", "tracing"],
    ),
];

impl Part {
    /// The part of a function of an object (a program or a library), written in a file.
    pub(crate) fn of(object: &str, file: &str, function: &str) -> Self {
        if file.contains("sha256") || function.to_ascii_lowercase().contains("sha256") {
            return Sha;
        }
        if object.contains("/libc.so") {
            return match file {
                file if file.contains("malloc/") => Allocator,
                file if file.contains("string/") => Memory,
                _ => Library,
            };
        }
        // The build of aws-lc and that of Rust's library call their directories so, wherever they were.
        if file.contains("/aws-lc/") || function.starts_with("aws_lc_") {
            return Crypto;
        }
        if file.starts_with("/rustc/") || file.starts_with("/rust/deps/") {
            return Library;
        }
        if let Some((_, path)) = file.split_once("/registry/src/") {
            let name = path.split('/').nth(1).unwrap_or_default();
            return find(CRATES, |prefix| name.starts_with(prefix));
        }
        if file.ends_with("/out/leadintake.v1.rs") || file.ends_with("/out/shapes.rs") {
            return Calls;
        }
        let module = file.rsplit_once("/src/").map_or("", |(_, path)| path);
        let module = module.split(['/', '.']).next().unwrap_or_default();
        find(MODULES, |name| *name == module)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Door => "connections (`door`)",
            Calls => "calls, tokens (`rpc`)",
            Checks => "checking, normalising (`domain` and its crates)",
            Seal => "sealing (`seal`)",
            Store => "`store`",
            Ledger => "`ledger`, mirror, jobs",
            Http => "h2, hyper, http, tonic, prost",
            Runtime => "tokio",
            Driver => "sqlx",
            Sqlite => "SQLite",
            Sha => "SHA-256, without the processor's",
            Crypto => "aws-lc, the rest",
            Allocator => "allocators",
            Memory => "memory copied, compared, cleared",
            Telemetry => "metrics, traces",
            Library => "Rust's library and C's",
            Other => "other",
        }
    }
}

fn find(among: &[(Part, &[&str])], is_it: impl Fn(&&str) -> bool) -> Part {
    let mut among = among.iter();
    among
        .find(|(_, names)| names.iter().any(&is_it))
        .map_or(Other, |(part, _)| *part)
}

/// Instructions by part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Costs(BTreeMap<Part, u64>);

impl Costs {
    pub(crate) fn add(&mut self, part: Part, instructions: u64) {
        *self.0.entry(part).or_default() += instructions;
    }

    /// Takes away what others were in a time, as if they had been as many in each second of this one.
    pub(crate) fn less(&mut self, others: &Self, during: Duration, others_during: Duration) {
        for (part, instructions) in &mut self.0 {
            let others = u128::from(others.of(*part)) * during.as_millis();
            let others = others / others_during.as_millis().max(1);
            *instructions = instructions.saturating_sub(u64::try_from(others).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn of(&self, part: Part) -> u64 {
        self.0.get(&part).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.keys().copied()
    }
}
