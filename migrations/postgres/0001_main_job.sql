-- Every column has its reason in docs/data-inventory.toml; a test compares the two.
-- Times are microseconds since 1970, UTC. Numbers of kinds, roles and bases are those of proto/.

CREATE TABLE store (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    store_id UUID NOT NULL,
    epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE key_commitment (
    purpose BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    commitment BYTEA NOT NULL,
    PRIMARY KEY (purpose, key_id)
);

CREATE TABLE client (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role BIGINT NOT NULL,
    relation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE token (
    key_id TEXT NOT NULL PRIMARY KEY,
    client_id BIGINT NOT NULL REFERENCES client (id),
    secret_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE lead (
    id UUID NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    key_id BIGINT NOT NULL,
    email_index BYTEA,
    phone_index BYTEA,
    content_mac BYTEA NOT NULL,
    lawful_basis BIGINT NOT NULL,
    consent BOOLEAN NOT NULL,
    notice_version TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    closed_at BIGINT,
    restrictions BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE INDEX lead_email ON lead (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX lead_phone ON lead (phone_index) WHERE phone_index IS NOT NULL;

CREATE TABLE ledger (
    sequence BIGINT NOT NULL PRIMARY KEY,
    kind BIGINT NOT NULL,
    lead_id UUID,
    client_id BIGINT NOT NULL,
    request_id UUID,
    detail BIGINT NOT NULL,
    submission BIGINT NOT NULL,
    at BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

CREATE UNIQUE INDEX ledger_request ON ledger (client_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX ledger_lead ON ledger (lead_id, sequence) WHERE lead_id IS NOT NULL;

CREATE TABLE ledger_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE consumer (
    client_id BIGINT NOT NULL PRIMARY KEY REFERENCES client (id),
    delivered BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    acknowledged_at BIGINT
);

CREATE TABLE delivery (
    client_id BIGINT NOT NULL REFERENCES client (id),
    upto BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, upto)
);

CREATE TABLE rights_request (
    client_id BIGINT NOT NULL REFERENCES client (id),
    request_id UUID NOT NULL,
    kind BIGINT NOT NULL,
    detail BIGINT NOT NULL,
    verification BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,
    leads BIGINT NOT NULL,
    PRIMARY KEY (client_id, request_id)
);
