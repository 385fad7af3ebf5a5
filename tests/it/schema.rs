//! What the databases hold, and that the two are one.

use std::collections::{BTreeMap, BTreeSet};

use lead_intake::{
    ledger::notary::SigningKey,
    pb,
    seal::{KeyCommitment, KeyPurpose, KeyRing},
    store::{self, OpenOptions, StoreError, StoreUrl},
};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sqlx::{
    Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use crate::support::*;

/// A connection beside the store.
enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    async fn open(world: &World) -> Self {
        match &world.url {
            StoreUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                Self::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
            }
            StoreUrl::Postgres(url) => {
                Self::Postgres(PgConnection::connect(url.expose_secret()).await.unwrap())
            }
        }
    }

    async fn prepare(&mut self, sql: &'static str) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(raw) => raw.prepare(sql.into_sql_str()).await.map(drop),
            Self::Postgres(raw) => raw.prepare(sql.into_sql_str()).await.map(drop),
        }
    }

    async fn execute(&mut self, sql: &'static str) {
        match self {
            Self::Sqlite(raw) => drop(raw.execute(sql).await.unwrap()),
            Self::Postgres(raw) => drop(raw.execute(sql).await.unwrap()),
        }
    }

    /// Each column: its type, and whether it may be absent.
    async fn columns(&mut self) -> BTreeMap<Column, (String, bool)> {
        const SQLITE: &str = "SELECT m.name, c.name, LOWER(c.type), c.\"notnull\" = 0 \
            FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'";
        const POSTGRES: &str = "SELECT table_name::text, column_name::text, data_type::text, \
            is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'public' \
            AND table_name <> 'lead_by_value'";
        type Row = (String, String, String, bool);
        let rows: Vec<Row> = match self {
            Self::Sqlite(raw) => sqlx::query_as(SQLITE).fetch_all(raw).await.unwrap(),
            Self::Postgres(raw) => sqlx::query_as(POSTGRES).fetch_all(raw).await.unwrap(),
        };
        rows.into_iter()
            // The migrator's own table says which migrations were applied; SQLite's own count rows for its
            // query planner, and a test below sees that they keep nothing else.
            .filter(|(table, ..)| table != "_sqlx_migrations" && !table.starts_with("sqlite_stat"))
            .map(|(table, column, of, optional)| ((table, column), (of, optional)))
            .collect()
    }
}

/// The tables that PostgreSQL has no need of: its own indexes of the leads do (decision 0021).
const SQLITE_ONLY: [&str; 2] = ["blind_index", "blind_index_head"];

/// A table and a column.
type Column = (String, String);

on_both! {
    /// Every statement that the store can send is one that the migrated database understands: there is no
    /// statement that works on one database only.
    async fn every_statement_prepares(backend: Backend) {
        let world = World::new(backend).await;
        let mut raw = Raw::open(&world).await;
        let statements = store::all_statements(backend == Backend::Postgres);
        assert!(statements.len() > 30, "{} statements are not all", statements.len());
        for sql in statements {
            if let Err(error) = raw.prepare(sql).await {
                panic!("{error}: {sql}");
            }
        }
    }

    /// "Stores only those fields": of a lead the sealed content, its look-up values, the basis tag, the
    /// consent flag and facts about the record, and no other column.
    async fn a_lead_has_these_columns_and_no_other(backend: Backend) {
        let world = World::new(backend).await;
        let columns = Raw::open(&world).await.columns().await;
        let of_lead: Vec<&str> = columns
            .keys()
            .filter(|(table, _)| table == "lead")
            .map(|(_, column)| column.as_str())
            .collect();
        assert_eq!(
            of_lead,
            [
                "closed_at",
                "closed_outcome",
                "consent",
                "content_mac",
                "email_index",
                "id",
                "index_key_id",
                "key_id",
                "lawful_basis",
                "notice_version",
                "phone_index",
                "restrictions",
                "revision",
                "sealed",
                "submitted_at",
            ]
        );
        let tables: BTreeSet<&str> = columns.keys().map(|(table, _)| table.as_str()).collect();
        let known = [
            "acknowledgement", "client", "consumer", "delivery", "key_commitment", "key_ring", "lead", "ledger", "ledger_head", "rights_request", "store", "sweep", "token", "withheld",
        ];
        let mut known = BTreeSet::from(known);
        if backend == Backend::Sqlite {
            known.extend(SQLITE_ONLY);
        }
        assert_eq!(tables, known);
    }

    /// Every stored column stands in the data inventory with its reason, basis and retention, and the
    /// inventory names no column that is not stored. The record of processing activities (Art. 30) has the
    /// same lines.
    async fn the_inventory_is_the_schema(backend: Backend) {
        let world = World::new(backend).await;
        let stored: BTreeSet<Column> = Raw::open(&world).await.columns().await.into_keys().collect();
        let listed = inventory();
        let names: BTreeSet<Column> = listed
            .iter()
            .map(|item| (item.table.clone(), item.column.clone()))
            .collect();
        assert_eq!(names.len(), listed.len(), "a column is listed twice");
        let is_here = |table: &str| backend == Backend::Sqlite || !SQLITE_ONLY.contains(&table);
        let names: BTreeSet<Column> = names.into_iter().filter(|(table, _)| is_here(table)).collect();
        let unexplained: Vec<_> = stored.difference(&names).collect();
        assert!(unexplained.is_empty(), "not in the inventory: {unexplained:?}");
        let unstored: Vec<_> = names.difference(&stored).collect();
        assert!(unstored.is_empty(), "not in the schema: {unstored:?}");

        let replica = world.start().await;
        let record = pb::GetProcessingRecordRequest::default();
        let record = replica.ledger().get_processing_record(record).await.unwrap().into_inner();
        let lines = listed.into_iter().map(|item| pb::InventoryItem {
            table: item.table,
            column: item.column,
            reason: item.reason,
            lawful_basis: item.lawful_basis,
            retention: item.retention,
        });
        assert!(record.inventory == lines.collect::<Vec<_>>());
        replica.stop().await;
    }

    /// A database that a newer program made is refused, whether or not this one may migrate: it could not
    /// know what else must be erased.
    async fn a_newer_schema_is_refused(backend: Backend) {
        let world = World::new(backend).await;
        for migrate in [true, false] {
            drop(open(&world, migrate).await.unwrap());
        }
        let newer = match backend {
            Backend::Sqlite => "INSERT INTO _sqlx_migrations \
                (version, description, success, checksum, execution_time) \
                VALUES (9999, 'from the future', TRUE, x'00', 0)",
            Backend::Postgres => "INSERT INTO _sqlx_migrations \
                (version, description, success, checksum, execution_time) \
                VALUES (9999, 'from the future', TRUE, '\\x00', 0)",
        };
        Raw::open(&world).await.execute(newer).await;
        for migrate in [true, false] {
            let refused = open(&world, migrate).await;
            assert!(
                matches!(refused, Err(StoreError::NewerSchema)),
                "migrate {migrate}: {refused:?}"
            );
        }
    }

    /// A key ring that is not the database's is refused at start with an error that names the key, and the
    /// attempt leaves nothing behind: the right ring is taken before and after.
    async fn a_foreign_key_ring_is_refused(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let own = world.keys.facts();
        store.check_keys(own).await.unwrap();

        let foreign = KeyRing::generate().unwrap();
        let refused = store.check_keys(foreign.facts()).await.unwrap_err();
        assert!(matches!(refused, StoreError::ForeignKey(_, 1)), "{refused:?}");

        // The same number with one bit changed, for each purpose.
        for place in 0..own.keys.len() {
            let mut changed = own.clone();
            changed.keys[place].commitment[0] ^= 1;
            let refused = store.check_keys(&changed).await.unwrap_err();
            let purpose = own.keys[place].purpose;
            assert!(
                matches!(refused, StoreError::ForeignKey(of, 1) if of == purpose),
                "{refused:?}"
            );
        }

        // A foreign ring whose keys have numbers of their own looks, at first, like new keys.
        let mut renumbered = foreign.facts().clone();
        for key in &mut renumbered.keys {
            key.key_id = 7;
        }
        let refused = store.check_keys(&renumbered).await.unwrap_err();
        assert!(matches!(refused, StoreError::MissingKey(_, 1)), "{refused:?}");
        store.check_keys(own).await.unwrap();

        // The signing key is recorded and refused in the same way, beside the ring and not instead of it.
        assert!(!store.has_signing_key().await.unwrap());
        let signing = world.signer.commitment();
        for _ in 0..2 {
            store.check_signing_key(signing).await.unwrap();
            assert!(store.has_signing_key().await.unwrap());
            store.check_keys(own).await.unwrap();
        }
        let other = SigningKey::generate(world.signer.verifier().name()).unwrap();
        let refused = store.check_signing_key(other.commitment()).await.unwrap_err();
        assert!(matches!(refused, StoreError::ForeignSigningKey), "{refused:?}");
        store.close().await;
    }

    /// A key ring that lacks a key the database was written with is refused: some leads would be
    /// unreadable, or not found when their person asks.
    async fn an_incomplete_key_ring_is_refused(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let own = world.keys.facts();
        for purpose in KeyPurpose::ALL {
            let mut rest = own.clone();
            rest.keys.retain(|key| key.purpose != purpose);
            let refused = store.check_keys(&rest).await.unwrap_err();
            assert!(
                matches!(refused, StoreError::MissingKey(of, 1) if of == purpose),
                "{refused:?}"
            );
        }
        let mut rotated = own.clone();
        rotated.keys.push(KeyCommitment {
            purpose: KeyPurpose::Sealing,
            key_id: 2,
            commitment: [9; 16],
            generation: 1,
        });
        store.check_keys(&rotated).await.unwrap();
        let refused = store.check_keys(own).await.unwrap_err();
        assert!(matches!(refused, StoreError::MissingKey(KeyPurpose::Sealing, 2)), "{refused:?}");
        store.close().await;
    }
}

/// An erased person's look-up values go with the row: no statistics of the query planner keep a sample of
/// them. (SQLite's ANALYZE does, in `sqlite_stat4`.)
#[tokio::test(flavor = "multi_thread")]
async fn erased_look_up_values_stay_nowhere_in_the_file() {
    let world = World::new(Backend::Sqlite).await;
    let erase = async |replica: &Replica, number: usize| {
        let erase = pb::EraseSubjectRequest {
            request: subject(&format!("kari{number}@example.no")),
            ground: pb::ErasureGround::NoLongerNecessary.into(),
            ..Default::default()
        };
        let erased = replica.privacy().erase_subject(erase).await.unwrap();
        assert_eq!(erased.into_inner().leads.len(), 1);
    };
    let replica = world.start().await;
    for number in 0..40 {
        let form = form("Kari Nordmann", &format!("kari{number}@example.no"));
        replica.intake().submit_lead(form).await.unwrap();
    }
    let Raw::Sqlite(mut raw) = Raw::open(&world).await else {
        panic!("a SQLite world")
    };
    let select = "SELECT email_index FROM lead ORDER BY submitted_at, id";
    let indexes: Vec<Vec<u8>> = sqlx::query_scalar(select)
        .fetch_all(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    assert_eq!(indexes.len(), 40);

    // Stopping closes the database, which is when SQLite might renew its statistics.
    erase(&replica, 0).await;
    replica.stop().await;
    let replica = world.start().await;
    for number in 1..20 {
        erase(&replica, number).await;
    }
    let left = pb::PullLeadsRequest::default();
    let left = replica
        .crm()
        .pull_leads(left)
        .await
        .unwrap()
        .into_inner()
        .changes;
    assert_eq!(left.len(), 20);
    replica.stop().await;

    let Raw::Sqlite(mut raw) = Raw::open(&world).await else {
        panic!("a SQLite world")
    };
    let kept: Vec<Vec<u8>> = sqlx::query_scalar(select)
        .fetch_all(&mut raw)
        .await
        .unwrap();
    let samples = "SELECT COUNT(*) FROM sqlite_stat4";
    let samples: i64 = sqlx::query_scalar(samples)
        .fetch_one(&mut raw)
        .await
        .unwrap_or(0);
    assert_eq!(samples, 0, "the planner's statistics hold samples of rows");
    raw.close().await.unwrap();
    for file in files(world.dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = indexes
            .iter()
            .filter(|index| !kept.contains(index) && raw::contains(&bytes, index))
            .count();
        assert_eq!(
            found,
            0,
            "look-up values of erased leads in {}",
            file.display()
        );
    }
}

async fn open(world: &World, migrate: bool) -> Result<store::SharedStore, StoreError> {
    store::open(OpenOptions {
        url: world.url.clone(),
        connections_max: 4,
        clock: world.clock.clone(),
        migrate,
        tail_max: store::TAIL_MAX,
        ballast: false,
        mirror: None,
    })
    .await
}

/// Both migrations make the same tables with the same columns, of matching types: one SQL text serves both.
#[tokio::test(flavor = "multi_thread")]
async fn both_schemas_are_one() {
    let sqlite = World::new(Backend::Sqlite).await;
    let postgres = World::new(Backend::Postgres).await;
    let sqlite = Raw::open(&sqlite).await.columns().await;
    let postgres = Raw::open(&postgres).await.columns().await;
    let sqlite: BTreeMap<_, _> = sqlite
        .into_iter()
        .filter(|((table, _), _)| !SQLITE_ONLY.contains(&table.as_str()))
        .collect();
    let names = |columns: &BTreeMap<Column, _>| columns.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&postgres));
    for (column, (of, optional)) in &sqlite {
        let (other, other_optional) = &postgres[column];
        assert_eq!(optional, other_optional, "{column:?}");
        let same = match of.as_str() {
            "integer" => ["bigint", "boolean"].contains(&other.as_str()),
            "blob" => ["bytea", "uuid"].contains(&other.as_str()),
            "text" => other == "text",
            _ => false,
        };
        assert!(same, "{column:?}: {of} and {other}");
    }
}

/// A line of the data inventory.
#[derive(Deserialize)]
struct Item {
    table: String,
    column: String,
    reason: String,
    lawful_basis: String,
    retention: String,
}

fn inventory() -> Vec<Item> {
    #[derive(Deserialize)]
    struct Inventory {
        column: Vec<Item>,
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/data-inventory.toml");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let Inventory { column } = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    column
}

/// An inventory line without a reason, a lawful basis or a retention explains nothing.
#[test]
fn every_line_of_the_inventory_says_why() {
    for item in inventory() {
        for text in [&item.reason, &item.lawful_basis, &item.retention] {
            assert!(!text.trim().is_empty(), "{}.{}", item.table, item.column);
        }
    }
}

/// What the notice does not name, and no field may be called (`rights.md`, section 1).
const RESERVED: [&str; 11] = [
    "message",
    "comment",
    "address",
    "id_document",
    "title",
    "birth_date",
    "national_id",
    "ip",
    "user_agent",
    "referrer",
    "marketing",
];

fn messages() -> Vec<MessageDescriptor> {
    DescriptorPool::decode(pb::DESCRIPTORS)
        .unwrap()
        .all_messages()
        .filter(|message| message.package_name() == "leadintake.v1")
        .collect()
}

/// The contract has no place for what the notice does not name, and the names are reserved, so that none
/// can be added by mistake. Only the controller has an address.
#[test]
fn the_contract_has_no_field_for_what_the_notice_does_not_name() {
    for message in messages() {
        for field in message.fields() {
            let of_controller = message.name() == "Controller" && field.name() == "address";
            assert!(
                of_controller || !RESERVED.contains(&field.name()),
                "{}",
                field.full_name()
            );
        }
        if ["SubmitLeadRequest", "Lead"].contains(&message.name()) {
            let reserved: BTreeSet<&str> = message.reserved_names().collect();
            assert_eq!(reserved, BTreeSet::from(RESERVED), "{}", message.name());
        }
    }
}

/// A form has exactly these fields: the idempotency key, four of content, the basis tag, the consent flag
/// and the notice that was shown.
#[test]
fn a_form_has_these_fields_and_no_other() {
    let all = messages();
    let form = all
        .iter()
        .find(|message| message.name() == "SubmitLeadRequest");
    let fields: Vec<String> = form
        .unwrap()
        .fields()
        .map(|f| f.name().to_owned())
        .collect();
    assert_eq!(
        fields,
        [
            "request_id",
            "name",
            "company",
            "phone",
            "email",
            "lawful_basis",
            "consent",
            "notice_version",
        ]
    );
}

/// There is one purpose, answering enquiries; so no message carries one, and no value of any enumeration
/// is about marketing but the objection to it.
#[test]
fn the_purpose_is_no_field() {
    for message in messages() {
        for field in message.fields() {
            assert_ne!(field.name(), "purpose", "{}", field.full_name());
            // What the notice says of its purposes is told, not asked for.
            assert!(
                field.name() != "purposes" || message.name() == "GetPrivacyNoticeResponse",
                "{}",
                field.full_name()
            );
        }
    }
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let marketing: Vec<String> = pool
        .all_enums()
        .filter(|of| of.package_name() == "leadintake.v1")
        .flat_map(|of| of.values().map(|v| v.name().to_owned()).collect::<Vec<_>>())
        .filter(|name| name.contains("MARKETING"))
        .collect();
    assert_eq!(marketing, ["OBJECTION_KIND_DIRECT_MARKETING"]);
}
