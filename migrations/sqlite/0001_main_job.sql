-- Every column has its reason in docs/data-inventory.toml; a test compares the two.
-- Times are microseconds since 1970, UTC. Numbers of kinds, roles and bases are those of proto/.

CREATE TABLE store (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    store_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE key_commitment (
    purpose INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    commitment BLOB NOT NULL,
    PRIMARY KEY (purpose, key_id)
) STRICT;

CREATE TABLE client (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role INTEGER NOT NULL,
    relation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE token (
    key_id TEXT NOT NULL PRIMARY KEY,
    client_id INTEGER NOT NULL REFERENCES client (id),
    secret_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- No row id: leads arrive in order of their identifiers, so the table grows at its end.
CREATE TABLE lead (
    id BLOB NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    key_id INTEGER NOT NULL,
    email_index BLOB,
    phone_index BLOB,
    content_mac BLOB NOT NULL,
    lawful_basis INTEGER NOT NULL,
    consent INTEGER NOT NULL,
    notice_version TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    closed_at INTEGER,
    restrictions INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX lead_email ON lead (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX lead_phone ON lead (phone_index) WHERE phone_index IS NOT NULL;

CREATE TABLE ledger (
    sequence INTEGER NOT NULL PRIMARY KEY,
    kind INTEGER NOT NULL,
    lead_id BLOB,
    client_id INTEGER NOT NULL,
    request_id BLOB,
    detail INTEGER NOT NULL,
    submission INTEGER NOT NULL,
    at INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX ledger_request ON ledger (client_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX ledger_lead ON ledger (lead_id, sequence) WHERE lead_id IS NOT NULL;

CREATE TABLE ledger_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE consumer (
    client_id INTEGER NOT NULL PRIMARY KEY REFERENCES client (id),
    delivered INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    acknowledged_at INTEGER
) STRICT;

CREATE TABLE delivery (
    client_id INTEGER NOT NULL REFERENCES client (id),
    upto INTEGER NOT NULL,
    snapshot INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, upto)
) STRICT, WITHOUT ROWID;

CREATE TABLE rights_request (
    client_id INTEGER NOT NULL REFERENCES client (id),
    request_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    verification INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    leads INTEGER NOT NULL,
    PRIMARY KEY (client_id, request_id)
) STRICT;
